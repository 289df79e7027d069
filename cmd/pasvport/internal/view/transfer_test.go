package view

import (
	"testing"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

func TestTransferLine(t *testing.T) {
	for _, test := range []struct {
		transfer api.Transfer
		took     time.Duration
		failure  string
		want     string
	}{
		{api.Transfer{Verb: "RETR", Name: "report.txt", Bytes: 1258291}, 800 * time.Millisecond, "", "↓ report.txt  1.2 MiB  0.8 s  1.5 MiB/s"},
		{api.Transfer{Verb: "STOR", Name: "backup.tar", Upload: true, Bytes: 12 << 20}, 4 * time.Second, "426 lost", "↑ backup.tar  12.0 MiB  4.0 s  failed: 426 lost"},
		{api.Transfer{Verb: "LIST", Bytes: 300}, 0, "", "↓ LIST  300 B  0.0 s"},
		{api.Transfer{Verb: "MLSD", Name: "photos", Bytes: 300}, time.Second, "", "↓ MLSD photos  300 B  1.0 s  300 B/s"},
		{api.Transfer{Verb: "RETR", Name: "a\nb\x1b[2J", Bytes: 1 << 30}, 2 * time.Minute, "no\x07", "↓ a b?[2J  1.0 GiB  2m  failed: no?"},
		{api.Transfer{Verb: "RETR", Name: "big", Bytes: 1 << 30}, 128 * time.Second, "", "↓ big  1.0 GiB  2m8s  8.0 MiB/s"},
	} {
		if got := TransferLine(test.transfer, test.took, test.failure); got != test.want {
			t.Errorf("got  %q\nwant %q", got, test.want)
		}
	}
}
