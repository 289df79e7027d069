package config

import "encoding/json"

// Overlay gives t what other says, and leaves it what other says nothing of. A list
// takes the place of a list.
func (t *Tunnel) Overlay(other Tunnel) error {
	text, err := json.Marshal(other)
	if err != nil {
		return err
	}
	*t = t.clone()
	return json.Unmarshal(text, t)
}

// clone shares nothing with t.
func (t *Tunnel) clone() Tunnel {
	c := *t
	c.Listen = append([]string(nil), t.Listen...)
	c.Identity = append([]string(nil), t.Identity...)
	c.Option = append([]string(nil), t.Option...)
	if t.Grace != nil {
		c.Grace = new(Duration)
		*c.Grace = *t.Grace
	}
	return c
}
