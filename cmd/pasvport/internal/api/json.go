package api

import "encoding/json"

// Lists are never null in JSON: what there is none of is an empty list.

// MarshalJSON writes s with its list.
func (s Status) MarshalJSON() ([]byte, error) {
	type plain Status
	s.Tunnels = list(s.Tunnels)
	return json.Marshal(plain(s))
}

// MarshalJSON writes t with its lists.
func (t Tunnel) MarshalJSON() ([]byte, error) {
	type plain Tunnel
	t.Listens, t.Sessions = list(t.Listens), list(t.Sessions)
	return json.Marshal(plain(t))
}

// MarshalJSON writes s with its list.
func (s Session) MarshalJSON() ([]byte, error) {
	type plain Session
	s.Transfers = list(s.Transfers)
	return json.Marshal(plain(s))
}

func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}
