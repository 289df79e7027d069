package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// header carries the Version of whoever speaks.
const header = "Pasvport-API"

// maxBody bounds a request.
const maxBody = 1 << 20

// Ask asks the person in front of a command. It fails when the command has gone.
type Ask func(context.Context, Prompt) (Answer, error)

// An Agent does what requests ask for, several at once. Its errors become replies: an
// *Error as it is, any other as its text.
type Agent interface {
	Status() *Status
	// Up and Restart get a nil ask where nobody can be asked. ctx ends when the
	// command goes away. Questions may be asked at once, and not for longer than Up
	// and Restart last; then they fail.
	Up(ctx context.Context, name string, o Opening, ask Ask) (*Tunnel, error)
	Restart(ctx context.Context, name string, o Opening, ask Ask) (*Tunnel, error)
	Down(ctx context.Context, name string) (*Tunnel, error)
	StopSession(id int64) error
	Reload() (*Reloaded, error)
	// Stop returns when all tunnels are down.
	Stop()
	Metrics() http.Handler
}

// Handler answers requests with what agent does.
func Handler(agent Agent) http.Handler {
	s := &server{agent: agent, waiting: make(map[string]chan Answer)}
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(*http.Request) (any, error){
		"GET /v1/status":               s.status,
		"POST /v1/tunnels/{name}/down": s.down,
		"POST /v1/prompts/{id}":        s.answer,
		"POST /v1/sessions/{id}/stop":  s.stopSession,
		"POST /v1/reload":              s.reload,
	} {
		mux.Handle(pattern, sameVersion(replying(serve)))
	}
	mux.Handle("POST /v1/tunnels/{name}/up", sameVersion(s.opening(agent.Up)))
	mux.Handle("POST /v1/tunnels/{name}/restart", sameVersion(s.opening(agent.Restart)))
	mux.Handle("GET /v1/metrics", agent.Metrics()) // scrapers know no versions
	mux.Handle("POST /v1/stop", replying(s.stop))
	mux.Handle("/", replying(func(r *http.Request) (any, error) {
		return nil, failure(http.StatusNotFound, fmt.Sprintf("there is no %s %s", r.Method, r.URL.Path))
	}))
	return mux
}

// server has the questions that wait for an answer.
type server struct {
	agent Agent

	mu      sync.Mutex
	waiting map[string]chan Answer
}

func failure(status int, text string, hints ...string) *Error {
	return &Error{Text: text, Hints: hints, Code: 1, Time: time.Now(), Status: status}
}

// sameVersion refuses commands of another version.
func sameVersion(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if theirs := r.Header.Get(header); theirs != strconv.Itoa(Version) {
			fail(w, otherVersion(theirs, strconv.Itoa(Version)))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// otherVersion is for a command and an agent that do not understand each other.
func otherVersion(command, agent string) *Error {
	return failure(http.StatusConflict,
		fmt.Sprintf("the agent that runs is of another version of pasvport: it speaks version %q of the API, this command %q", agent, command),
		"pasvport agent stop ends it, with its tunnels; pasvport up NAME then starts one of this version")
}

// replying answers with what serve returns.
func replying(serve func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		reply, err := serve(r)
		if err != nil {
			fail(w, asError(err))
			return
		}
		send(w, http.StatusOK, reply)
	})
}

func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return failure(http.StatusInternalServerError, err.Error())
}

func fail(w http.ResponseWriter, e *Error) {
	status := e.Status
	if status == 0 {
		status = http.StatusInternalServerError
	}
	send(w, status, e)
}

func send(w http.ResponseWriter, status int, reply any) {
	head(w, status)
	json.NewEncoder(w).Encode(reply)
}

func head(w http.ResponseWriter, status int) {
	w.Header().Set(header, strconv.Itoa(Version))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
}

// nothing is the reply that says no more than that it was done.
type nothing struct{}

func (s *server) status(*http.Request) (any, error) { return s.agent.Status(), nil }

func (s *server) down(r *http.Request) (any, error) {
	return s.agent.Down(r.Context(), r.PathValue("name"))
}

func (s *server) reload(*http.Request) (any, error) { return s.agent.Reload() }

func (s *server) stop(*http.Request) (any, error) {
	s.agent.Stop()
	return nothing{}, nil
}

func (s *server) stopSession(r *http.Request) (any, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return nil, failure(http.StatusBadRequest, fmt.Sprintf("%q is no session's id", r.PathValue("id")))
	}
	return nothing{}, s.agent.StopSession(id)
}

// answer takes the answer to a question.
func (s *server) answer(r *http.Request) (any, error) {
	var a Answer
	if err := decode(r.Body, &a); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := s.waiting[r.PathValue("id")]
	if answers == nil {
		return nil, failure(http.StatusNotFound, "the question is not asked any more")
	}
	delete(s.waiting, r.PathValue("id"))
	answers <- a // which has room
	return nothing{}, nil
}

// decode reads one JSON value and nothing behind it. A field that is not known makes
// no sense here.
func decode(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("there is more than one JSON value")
	}
	if err != nil {
		return failure(http.StatusBadRequest, "the request makes no sense: "+err.Error())
	}
	return nil
}

// opening streams the events of a tunnel that is being opened.
func (s *server) opening(open func(context.Context, string, Opening, Ask) (*Tunnel, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var o Opening
		if err := decode(http.MaxBytesReader(w, r.Body, maxBody), &o); err != nil {
			fail(w, asError(err))
			return
		}
		events := &stream{w: w, asking: make(chan struct{}, 1)}
		defer events.close()
		head(w, http.StatusOK)
		command := r.Context() // ends with the command's connection
		var ask Ask
		if o.Ask {
			ask = func(asking context.Context, p Prompt) (Answer, error) { return s.ask(command, asking, events, p) }
		}
		t, err := open(command, r.PathValue("name"), o, ask)
		if err != nil {
			events.tell(Event{Error: asError(err)})
		} else {
			events.tell(Event{Done: t})
		}
	})
}

// A stream is the reply to an opening. It must not be written to any more once that is
// over, as a question might that outlives it.
type stream struct {
	asking chan struct{} // takes one: a question is under way

	mu     sync.Mutex
	w      http.ResponseWriter
	closed bool
}

func (s *stream) tell(e Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errors.New("the command has gone")
	}
	if err := json.NewEncoder(s.w).Encode(e); err != nil {
		return err
	}
	return http.NewResponseController(s.w).Flush()
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// ask sends a question and waits for its answer, for the end of the asking, or for that
// of the command. The one before it is over by then.
func (s *server) ask(command, asking context.Context, events *stream, p Prompt) (Answer, error) {
	select {
	case events.asking <- struct{}{}:
		defer func() { <-events.asking }()
	case <-asking.Done():
		return Answer{}, asking.Err()
	case <-command.Done():
		return Answer{}, command.Err()
	}
	p.ID = rand.Text()
	answers := make(chan Answer, 1)
	s.mu.Lock()
	s.waiting[p.ID] = answers
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, p.ID)
		s.mu.Unlock()
	}()
	if err := events.tell(Event{Prompt: &p}); err != nil {
		return Answer{}, fmt.Errorf("asking: %w", err)
	}
	select {
	case a := <-answers:
		return a, nil
	case <-asking.Done():
		return Answer{}, asking.Err()
	case <-command.Done():
		return Answer{}, command.Err()
	}
}
