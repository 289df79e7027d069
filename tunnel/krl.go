package tunnel

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// The sections of a key revocation list, and of its sections on certificates:
// PROTOCOL.krl in OpenSSH's sources.
const (
	krlMagic = "SSHKRL\n\x00"

	krlCertificates = 1
	krlKeys         = 2
	krlSHA1         = 3
	krlSignature    = 4
	krlSHA256       = 5
	krlExtension    = 255

	krlSerials        = 0x20
	krlSerialRange    = 0x21
	krlSerialBitmap   = 0x22
	krlKeyIDs         = 0x23
	krlCertsExtension = 0x39

	maxBitmap = 16384 / 8 // bytes
)

var errKRL = errors.New("malformed key revocation list")

func isKRL(data []byte) bool { return bytes.HasPrefix(data, []byte(krlMagic)) }

// revokedByKRL tells whether a key revocation list revokes key or, if that is a
// certificate, what it certifies or its authority. It reads the whole list in any
// case: one that is malformed, or has a section of an unknown kind, is an error.
// Signatures in it must be right; who made them is not asked, as in ssh.
func revokedByKRL(krl []byte, key ssh.PublicKey) (bool, error) {
	q := newKRLQuery(key)
	r := &krlReader{rest: krl[len(krlMagic):]}
	if version := r.uint32(); r.err == nil && version != 1 {
		return false, fmt.Errorf("key revocation list of unknown version %d", version)
	}
	for range 3 { // its number, its date, flags
		r.uint64()
	}
	r.bytes() // reserved
	r.bytes() // comment
	signed := false
	for r.more() {
		kind, section := r.uint8(), &krlReader{rest: r.bytes()}
		switch {
		case r.err != nil:
		case kind == krlSignature:
			signed = true
			end := len(krl) - len(r.rest)
			if !verifyKRL(section.rest, krl[:end], r.bytes()) {
				r.err = errors.New("key revocation list with a wrong signature")
			}
		case signed: // what comes behind a signature is not covered by it
			r.fail()
		default:
			r.err = q.section(kind, section)
		}
	}
	return q.revoked && r.err == nil, r.err
}

// verifyKRL checks a signature over all that is before it.
func verifyKRL(signer, data, signature []byte) bool {
	key, err := ssh.ParsePublicKey(signer)
	if err != nil {
		return false
	}
	var sig ssh.Signature
	return ssh.Unmarshal(signature, &sig) == nil && key.Verify(data, &sig) == nil
}

// A krlQuery is one key that is looked for.
type krlQuery struct {
	keys    [][]byte         // it, without certificate, and its authority
	cert    *ssh.Certificate // nil if it is none
	revoked bool
}

func newKRLQuery(key ssh.PublicKey) *krlQuery {
	q := &krlQuery{keys: [][]byte{plain(key).Marshal()}}
	if cert, ok := key.(*ssh.Certificate); ok {
		q.cert = cert
		q.keys = append(q.keys, cert.SignatureKey.Marshal())
	}
	return q
}

// section looks into one section.
func (q *krlQuery) section(kind byte, r *krlReader) error {
	switch kind {
	case krlCertificates:
		q.certificates(r)
	case krlKeys:
		q.blobs(r, 0, func(key []byte) []byte { return key })
	case krlSHA1:
		q.blobs(r, sha1.Size, func(key []byte) []byte { sum := sha1.Sum(key); return sum[:] })
	case krlSHA256:
		q.blobs(r, sha256.Size, func(key []byte) []byte { sum := sha256.Sum256(key); return sum[:] })
	case krlExtension:
		r.extension()
	default:
		return fmt.Errorf("key revocation list with an unknown section %d", kind)
	}
	return r.end()
}

// blobs compares with keys, or with hashes of a size.
func (q *krlQuery) blobs(r *krlReader, size int, hash func([]byte) []byte) {
	var sums [][]byte
	for _, key := range q.keys {
		sums = append(sums, hash(key))
	}
	for r.more() {
		blob := r.bytes()
		if size > 0 && len(blob) != size {
			r.fail()
		}
		for _, sum := range sums {
			q.revoked = q.revoked || bytes.Equal(sum, blob)
		}
	}
}

// certificates compares with certificates of one authority, or of any.
func (q *krlQuery) certificates(r *krlReader) {
	authority := r.bytes()
	r.bytes() // reserved
	if len(authority) > 0 {
		if _, err := ssh.ParsePublicKey(authority); err != nil {
			r.fail()
		}
	}
	ours := q.cert != nil && (len(authority) == 0 || bytes.Equal(authority, q.cert.SignatureKey.Marshal()))
	for r.more() {
		kind, part := r.uint8(), &krlReader{rest: r.bytes()}
		if r.err != nil {
			return
		}
		found := false
		switch kind {
		case krlSerials:
			for part.more() {
				serial := part.serial()
				found = found || q.serialIn(serial, serial)
			}
		case krlSerialRange:
			low, high := part.serial(), part.uint64()
			if low > high {
				part.fail()
			}
			found = q.serialIn(low, high)
		case krlSerialBitmap:
			found = q.serialInBitmap(part.uint64(), part)
		case krlKeyIDs:
			for part.more() {
				id := part.text()
				found = found || q.cert != nil && id == q.cert.KeyId
			}
		case krlCertsExtension:
			part.extension()
		default:
			part.fail()
		}
		if r.err = part.end(); r.err == nil && ours && found {
			q.revoked = true
		}
	}
}

// serialIn tells whether the certificate's serial is in a range. Serial 0 is none.
func (q *krlQuery) serialIn(low, high uint64) bool {
	return q.cert != nil && q.cert.Serial != 0 && low <= q.cert.Serial && q.cert.Serial <= high
}

// serialInBitmap reads a bitmap whose lowest bit, in its last byte, stands for low.
func (q *krlQuery) serialInBitmap(low uint64, r *krlReader) bool {
	bits := r.bytes()
	if len(bits) > 0 && bits[0]&0x80 != 0 { // it is a number, and none below 0
		r.fail()
	}
	for len(bits) > 0 && bits[0] == 0 {
		bits = bits[1:]
	}
	if len(bits) > maxBitmap {
		r.fail()
	}
	n := uint64(len(bits)) * 8
	if r.err != nil || n == 0 {
		return false
	}
	for n > 0 && !bit(bits, n-1) {
		n-- // to the highest one that is set
	}
	if low+n-1 < low || low == 0 && bit(bits, 0) { // too high, or serial 0
		r.fail()
		return false
	}
	return q.serialIn(low, low+n-1) && bit(bits, q.cert.Serial-low)
}

func bit(bits []byte, i uint64) bool {
	return bits[uint64(len(bits))-1-i/8]>>(i%8)&1 == 1
}

// A krlReader takes a list apart. After an error it gives zeros.
type krlReader struct {
	rest []byte
	err  error
}

func (r *krlReader) fail() {
	if r.err == nil {
		r.err = errKRL
	}
}

func (r *krlReader) more() bool { return r.err == nil && len(r.rest) > 0 }

// end tells whether all was read, and well.
func (r *krlReader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail()
	}
	return r.err
}

func (r *krlReader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	p := r.rest[:n]
	r.rest = r.rest[n:]
	return p
}

func (r *krlReader) uint8() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *krlReader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

func (r *krlReader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// bytes reads a string of SSH.
func (r *krlReader) bytes() []byte { return r.take(uint64(r.uint32())) }

// text reads a string in which a zero byte can only be the last, and is dropped.
func (r *krlReader) text() string {
	p := bytes.TrimSuffix(r.bytes(), []byte{0})
	if bytes.IndexByte(p, 0) >= 0 {
		r.fail()
	}
	return string(p)
}

// serial reads a serial number that is revoked, which 0 cannot be.
func (r *krlReader) serial() uint64 {
	n := r.uint64()
	if n == 0 {
		r.fail()
	}
	return n
}

// extension passes over an extension, unless that must be understood.
func (r *krlReader) extension() {
	name, critical := r.bytes(), r.uint8()
	r.bytes()
	if r.err == nil && critical != 0 {
		r.err = fmt.Errorf("key revocation list with an unknown extension %q", name)
	}
}
