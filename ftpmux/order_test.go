package ftpmux

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A slowWay has what is written to it there after a while, as one whose connection has
// much else to carry.
type slowWay struct {
	*memConn
	takes *time.Duration
}

func (c slowWay) Write(p []byte) (int, error) {
	text := bytes.Clone(p)
	time.AfterFunc(*c.takes, func() { c.memConn.Write(text) })
	return len(p), nil
}

func (c slowWay) Arrived(ctx context.Context) error {
	select {
	case <-time.After(*c.takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A slowRemote is a network in which control connections are slow.
type slowRemote struct {
	*memNet
	takes *time.Duration
}

func (r slowRemote) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := r.memNet.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return slowWay{c.(*memConn), r.takes}, nil
}

// TestABORIsThereFirst is about an upload that is cut off, with data and control on
// different ways: the end of the data must not be there ahead of ABOR, or the server takes
// it for that of the file. It is not held back for ever either.
func TestABORIsThereFirst(t *testing.T) {
	for _, tt := range []struct {
		name        string
		cut         func(client, data *memConn)
		takes, ends time.Duration // from then on
	}{
		{"its data is reset", func(_, data *memConn) { data.SetLinger(0); data.Close() }, 3 * time.Second, 3 * time.Second},
		{"its client says ABOR", func(client, _ *memConn) { fmt.Fprint(client, "ABOR\r\n") }, 3 * time.Second, 3 * time.Second},
		{"its client ends", func(client, _ *memConn) { client.Close() }, 3 * time.Second, 3 * time.Second},
		{"the way is fast", func(_, data *memConn) { data.SetLinger(0); data.Close() }, time.Millisecond, abortPatience},
		{"the way is blocked", func(_, data *memConn) { data.SetLinger(0); data.Close() }, time.Hour, 10 * abortPatience},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far, local := newMemNet(60001), newMemNet(50001)
				control, _ := far.listen("127.0.0.1:21")
				passive, _ := far.listen("127.0.0.1:40021")
				takes := time.Millisecond
				m := &Mux{Remote: slowRemote{far, &takes}, DataRemote: far, Server: "127.0.0.1:21", Local: local}
				client, there := memPipe(netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:2121"))
				done := make(chan struct{})
				go func() {
					defer close(done)
					m.ServeConn(context.Background(), there)
				}()
				server, _ := control.Accept()
				said := func() string {
					<-time.After(10 * time.Millisecond)
					text, _ := server.(*memConn).in.takeAll()
					return text
				}
				fmt.Fprint(server, "220 ready\r\n")
				fmt.Fprint(client, "EPSV\r\n")
				said()
				fmt.Fprint(server, "229 (|||40021|)\r\n")
				synctest.Wait()
				data, err := local.dial("127.0.0.1:50001")
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprint(client, "STOR a\r\n")
				said()
				far2, _ := passive.Accept()
				fmt.Fprint(server, "150 go\r\n")
				fmt.Fprint(data, "a part")
				synctest.Wait()
				takes = tt.takes
				began := time.Now()
				tt.cut(client, data.(*memConn))
				io.ReadAll(far2)
				if got := time.Since(began); got != tt.ends {
					t.Errorf("the data ends after %v, want %v", got, tt.ends)
				}
				if got := said(); tt.takes < tt.ends+1 && !strings.HasPrefix(got, "ABOR\r\n") {
					t.Errorf("the server has got %q by then, want ABOR", got)
				}
				far2.Close()
				server.Close()
				client.Close()
				<-done
			})
		})
	}
}
