package api

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest has the server read requests' bodies: one that it takes reaches the agent
// as it was meant, and any other is a 400.
func FuzzRequest(f *testing.F) {
	f.Add("up", `{"tunnel": {"host": "anna@prod", "listen": ["2122"], "grace": "10s"}, "ask": true}`)
	f.Add("restart", `{}`)
	f.Add("up", `{"ask": true} x`)
	f.Add("up", `null`)
	f.Add("answer", `{"text": "secret", "refused": false}`)
	f.Add("answer", `{"text": "\ud800"}`)
	f.Fuzz(func(t *testing.T, what, body string) {
		agent := &fake{heard: make(chan any, 1)}
		path, took := "/v1/tunnels/prod/up", http.StatusOK
		switch what {
		case "restart":
			path = "/v1/tunnels/prod/restart"
		case "answer":
			path, took = "/v1/prompts/x", http.StatusNotFound
		}
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set(header, "1")
		w := httptest.NewRecorder()
		Handler(agent).ServeHTTP(w, r)
		switch w.Code {
		case took:
			if reached := len(agent.heard) == 1; reached != (what != "answer") {
				t.Errorf("the agent was reached: %v", reached)
			}
		case http.StatusBadRequest:
			if len(agent.heard) > 0 {
				t.Errorf("%q makes no sense, and reached the agent", body)
			}
		default:
			t.Errorf("%q: status %d", body, w.Code)
		}
		if got := w.Header().Get(header); got != "1" {
			t.Errorf("the reply is of version %q", got)
		}
	})
}

// FuzzEvents has the client read streams: it ends with a tunnel or an error, and
// never with both or none.
func FuzzEvents(f *testing.F) {
	f.Add(`{"prompt": {"id": "x", "text": "Password: ", "secret": true}}` + "\n" + `{"done": {"name": "prod"}}` + "\n")
	f.Add(`{"error": {"text": "no", "hints": ["do this"], "code": 255}}` + "\n")
	f.Add("{}\n\n{}\n")
	f.Add(`{"done": null}`)
	f.Add("")
	refused := errors.New("refused")
	f.Fuzz(func(t *testing.T, text string) {
		asked := 0
		tunnel, err := readEvents(strings.NewReader(text), func(Prompt) error {
			if asked++; asked == 10 {
				return refused
			}
			return nil
		})
		if (tunnel == nil) == (err == nil) {
			t.Errorf("got %+v and %v", tunnel, err)
		}
		if asked >= 10 && !errors.Is(err, refused) {
			t.Errorf("asked %d times, and ended with %v", asked, err)
		}
		if errors.Is(err, io.EOF) {
			t.Errorf("an end that was not expected is %v", err)
		}
	})
}
