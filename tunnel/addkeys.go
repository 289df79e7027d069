package tunnel

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh/agent"
)

// addToAgent does as AddKeysToAgent says with a key from a file that has just been used, once.
func (a *auth) addToAgent(f *keyFile) {
	how, keys := a.host.AddKeysToAgent, &a.ask.tunnel.keys
	if a.agent == nil || how == "" || how == "no" || !keys.toAdd(f) {
		return
	}
	log := a.ask.tunnel.log.With("file", f.path)
	if how == "ask" {
		if a.alone() != "" {
			return
		}
		answer, err := a.ask.ask(fmt.Sprintf("Add key %s (%s) to agent? ", f.path, clean(f.comment)), false)
		if err != nil {
			log.Debug("key not added to the agent", "err", err)
			return
		}
		if answer = strings.TrimSpace(answer); answer != "" && !strings.EqualFold(answer, "yes") {
			keys.settle(f)
			return
		}
	}
	key := agent.AddedKey{PrivateKey: f.raw, Comment: f.comment, ConfirmBeforeUse: how == "confirm",
		LifetimeSecs: uint32(a.host.AddKeysLifetime / time.Second)}
	if err := a.agent.add(a.ask.lim.ctx, key); err != nil {
		log.Debug("key not added to the agent", "err", err)
		return
	}
	keys.settle(f)
	log.Debug("key added to the agent")
}

// toAdd tells whether a file has not been settled: whether to add it to the agent is asked once.
func (k *keyring) toAdd(f *keyFile) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.added[sha256.Sum256(f.data)]
}

// settle notes that the agent has the key, or that the person would rather not.
func (k *keyring) settle(f *keyFile) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.added == nil {
		k.added = make(map[[sha256.Size]byte]bool)
	}
	k.added[sha256.Sum256(f.data)] = true
}
