package tunnel

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
)

// maxIterations bounds the work that a key file may ask for: some seconds.
const maxIterations = 10_000_000

// pbes2Ciphers are the ciphers that a PKCS#8 file may be encrypted with: RFC 8018, appendix B.2.
var pbes2Ciphers = map[string]struct {
	keySize int
	new     func(key []byte) (cipher.Block, error)
}{
	"1.2.840.113549.3.7":      {24, des.NewTripleDESCipher},
	"2.16.840.1.101.3.4.1.2":  {16, aes.NewCipher},
	"2.16.840.1.101.3.4.1.22": {24, aes.NewCipher},
	"2.16.840.1.101.3.4.1.42": {32, aes.NewCipher},
}

// pbkdf2Hashes are those of PBKDF2's HMACs: RFC 8018, appendix B.1.
var pbkdf2Hashes = map[string]func() hash.Hash{
	"":                    sha1.New, // the default
	"1.2.840.113549.2.7":  sha1.New,
	"1.2.840.113549.2.8":  sha256.New224,
	"1.2.840.113549.2.9":  sha256.New,
	"1.2.840.113549.2.10": sha512.New384,
	"1.2.840.113549.2.11": sha512.New,
	"1.2.840.113549.2.12": sha512.New512_224,
	"1.2.840.113549.2.13": sha512.New512_256,
}

const (
	oidPBES2  = "1.2.840.113549.1.5.13"
	oidPBKDF2 = "1.2.840.113549.1.5.12"
)

// parsePKCS8 decrypts an EncryptedPrivateKeyInfo (RFC 5958, section 3) that was
// made by PBES2 with PBKDF2 (RFC 8018, section 6.2), as ssh-keygen and OpenSSL do,
// and returns the key in it. A wrong passphrase is x509.IncorrectPasswordError.
func parsePKCS8(der, passphrase []byte) (any, error) {
	var file struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}
	if err := unmarshalDER(der, &file); err != nil {
		return nil, err
	}
	if oid := file.Algorithm.Algorithm.String(); oid != oidPBES2 {
		return nil, fmt.Errorf("encrypted by scheme %s, not PBES2", oid)
	}
	var scheme struct{ KDF, Cipher pkix.AlgorithmIdentifier }
	if err := unmarshalDER(file.Algorithm.Parameters.FullBytes, &scheme); err != nil {
		return nil, err
	}
	with, ok := pbes2Ciphers[scheme.Cipher.Algorithm.String()]
	if !ok {
		return nil, fmt.Errorf("encrypted with cipher %v, not AES or 3DES in CBC mode", scheme.Cipher.Algorithm)
	}
	secret, err := pbes2Key(scheme.KDF, passphrase, with.keySize)
	if err != nil {
		return nil, err
	}
	block, err := with.new(secret)
	if err != nil {
		return nil, err
	}
	var iv []byte
	if err := unmarshalDER(scheme.Cipher.Parameters.FullBytes, &iv); err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(iv) != size || len(file.Data) == 0 || len(file.Data)%size != 0 {
		return nil, errors.New("encrypted PKCS#8 of a wrong length")
	}
	plain := make([]byte, len(file.Data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, file.Data)
	n := int(plain[len(plain)-1]) // of padding: RFC 8018, section 6.1.1
	if n == 0 || n > size || !bytes.HasSuffix(plain, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, x509.IncorrectPasswordError
	}
	plain = plain[:len(plain)-n]
	key, err := x509.ParsePKCS8PrivateKey(plain)
	switch err.(type) {
	case asn1.SyntaxError, asn1.StructuralError: // the padding was right by chance
		return nil, x509.IncorrectPasswordError
	}
	return key, err
}

func pbes2Key(kdf pkix.AlgorithmIdentifier, passphrase []byte, size int) ([]byte, error) {
	if oid := kdf.Algorithm.String(); oid != oidPBKDF2 {
		return nil, fmt.Errorf("encrypted with key derivation %s, not PBKDF2", oid)
	}
	var p struct {
		Salt       []byte
		Iterations int
		KeySize    int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if err := unmarshalDER(kdf.Parameters.FullBytes, &p); err != nil {
		return nil, err
	}
	newHash, ok := pbkdf2Hashes[p.PRF.Algorithm.String()]
	switch {
	case !ok:
		return nil, fmt.Errorf("encrypted with hash %v, which PBKDF2 has not", p.PRF.Algorithm)
	case p.Iterations < 1 || p.Iterations > maxIterations:
		return nil, fmt.Errorf("%d iterations of PBKDF2: want 1 to %d", p.Iterations, maxIterations)
	case p.KeySize != 0 && p.KeySize != size:
		return nil, fmt.Errorf("a key of %d bytes for a cipher that takes %d", p.KeySize, size)
	}
	return pbkdf2.Key(newHash, string(passphrase), p.Salt, p.Iterations, size)
}

// unmarshalDER takes all of der, and no more.
func unmarshalDER(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		err = asn1.SyntaxError{Msg: "trailing data"}
	}
	return err
}
