package config

import "encoding/json"

// Overlay gives t what other says, and leaves it what other says nothing of. A list
// takes the place of a list. It shares nothing with what t was a copy of.
func (t *Tunnel) Overlay(other Tunnel) error {
	var both Tunnel
	for _, layer := range []*Tunnel{t, &other} {
		text, err := json.Marshal(layer)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &both); err != nil {
			return err
		}
	}
	*t = both
	return nil
}
