package view

import (
	"strings"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

// Arrow marks a direction: "↑" is an upload, "↓" a download.
func Arrow(upload bool) string {
	if upload {
		return "↑"
	}
	return "↓"
}

// TransferName is what people call a transfer: its file, harmless, or its verb where
// it has no argument. A listing is told by its verb.
func TransferName(t api.Transfer) string {
	name := Clean(t.Name)
	switch {
	case name == "":
		return Clean(t.Verb)
	case t.Verb == "LIST", t.Verb == "NLST", t.Verb == "MLSD":
		return t.Verb + " " + name
	}
	return name
}

// TransferLine tells of a transfer that has ended, without an end of line:
//
//	↓ report.txt  1.2 MiB  0.8 s  1.5 MiB/s
//	↑ backup.tar  12.0 MiB  4.0 s  failed: 426 the SSH connection was lost
//
// took is from its beginning to its end; failure is the reason why it did not
// complete, and "" if it did. The size is what was moved, also of a part.
func TransferLine(t api.Transfer, took time.Duration, failure string) string {
	parts := []string{Arrow(t.Upload) + " " + TransferName(t), Bytes(t.Bytes), seconds(took)}
	switch {
	case failure != "":
		parts = append(parts, "failed: "+Clean(failure))
	case took > 0:
		parts = append(parts, Rate(float64(t.Bytes)/took.Seconds()))
	}
	return strings.Join(parts, "  ")
}
