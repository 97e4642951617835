package webauthn_test

import (
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/webauthn"
)

// The test vectors of WebAuthn Level 3, section 16, which are for example.org. Client
// data is written out, and the challenge in it is encoded from its hexadecimal form.

type vector struct {
	name                      string
	challenge                 string
	members                   string // of the client data, after the origin
	attestationObject         string
	id                        string
	aaguid                    string
	uv, be, bs                bool
	getChallenge              string
	getMembers                string
	authenticatorData         string
	signature                 string
	getUV, getBS, crossOrigin bool
	alg                       int
}

const (
	plain = `"crossOrigin":false`
	extra = plain + `,"extraData":"clientDataJSON may be extended with additional fields in the future, such as this: `

	exampleHash = "bfabc37432958b063360d3ad6461c9c4735ae7f8edd46592a5e0f01452b2e4b5" // SHA-256 of example.org
)

// mersenneProduct is the modulus of the RSA key: (2¹²⁷⁹-1)(2²²⁰³-1).
func mersenneProduct() string {
	prime := func(p uint) *big.Int {
		n := new(big.Int).Lsh(big.NewInt(1), p)
		return n.Sub(n, big.NewInt(1))
	}
	return hex.EncodeToString(new(big.Int).Mul(prime(1279), prime(2203)).Bytes())
}

func vectors() []vector {
	return []vector{
		{
			name:              "none.ES256",
			alg:               webauthn.ES256,
			challenge:         "00c30fb78531c464d2b6771dab8d7b603c01162f2fa486bea70f283ae556e130",
			members:           extra + `BkQeDjdcTBrXBiAwJTLE5Q"`,
			id:                "f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4",
			aaguid:            "8446ccb9ab1db374750b2367ff6f3a1f",
			be:                true,
			bs:                true,
			attestationObject: "a363666d74646e6f6e656761747453746d74a068617574684461746158a4" + exampleHash + "59000000008446ccb9ab1db374750b2367ff6f3a1f0020f91f391db4c9b2fde0ea70189cba3fb63f579ba6122b33ad94ff3ec330084be4a5010203262001215820afefa16f97ca9b2d23eb86ccb64098d20db90856062eb249c33a9b672f26df61225820930a56b87a2fca66334b03458abf879717c12cc68ed73290af2e2664796b9220",
			getChallenge:      "39c0e7521417ba54d43e8dc95174f423dee9bf3cd804ff6d65c857c9abf4d408",
			getMembers:        plain,
			authenticatorData: exampleHash + "1900000000",
			getBS:             true,
			signature:         "3046022100f50a4e2e4409249c4a853ba361282f09841df4dd4547a13a87780218deffcd380221008480ac0f0b93538174f575bf11a1dd5d78c6e486013f937295ea13653e331e87",
		},
		{
			name:              "packed-self.ES256",
			alg:               webauthn.ES256,
			challenge:         "7869c2b772d4b58eba9378cf8f29e26cf935aa77df0da89fa99c0bdc0a76f7e5",
			members:           extra + `U9hTXvKE2URkMnb_0xYHVg"`,
			id:                "455ef34e2043a87db3d4afeb39bbcb6cc32df9347c789a865ecdca129cbef58c",
			aaguid:            "df850e09db6afbdfab51697791506cfc",
			uv:                true,
			be:                true,
			bs:                true,
			attestationObject: "a363666d74667061636b65646761747453746d74a263616c672663736967584630440220067a20754ab925005dbf378097c92120031581c73228d1fb4f5b881bcd7da98302207fc7b147558c7c0eba3af18bd9d121fa3d3a26d17fe3f220272178f473b6006d68617574684461746158a4" + exampleHash + "5d00000000df850e09db6afbdfab51697791506cfc0020455ef34e2043a87db3d4afeb39bbcb6cc32df9347c789a865ecdca129cbef58ca5010203262001215820eb151c8176b225cc651559fecf07af450fd85802046656b34c18f6cf193843c5225820927b8aa427a2be1b8834d233a2d34f61f13bfd44119c325d5896e183fee484f2",
			getChallenge:      "4478a10b1352348dd160c1353b0d469b5db19eb91c27f7dfa6fed39fe26af20b",
			getMembers:        extra + `gTb53rz6EhSWomXGzimC1Q"`,
			authenticatorData: exampleHash + "0900000000",
			signature:         "304402203310b9431903c401f1be2bdc8d23a4007682dbbddcf846994947b7f465daf84002204e94dd00047b316061b3b99772b7efd95994a83ef584b3b6b825ea3550251b66",
		},
		{
			name:              "none.ES256.crossOrigin",
			alg:               webauthn.ES256,
			crossOrigin:       true,
			challenge:         "3be5aacd03537142472340ab5969f240f1d87716e20b6807ac230655fa4b3b49",
			members:           strings.Replace(extra, "false", "true", 1) + `zZquEtDR9DWqpW5tBWTFug"`,
			id:                "6e1050c0d2ca2f07c755cb2c66a74c64fa43065c18f938354d9915db2bd5ce57",
			aaguid:            "883f4f6014f19c09d87aa38123be48d0",
			uv:                true,
			attestationObject: "a363666d74646e6f6e656761747453746d74a068617574684461746158a4" + exampleHash + "4500000000883f4f6014f19c09d87aa38123be48d000206e1050c0d2ca2f07c755cb2c66a74c64fa43065c18f938354d9915db2bd5ce57a501020326200121582022200a473f90b11078851550d03b4e44a2279f8c4eca27b3153dedfe03e4e97d225820cbd0be95e746ad6f5a8191be11756e4c0420e72f65b466d39bc56b8b123a9c6e",
		},
		{
			name:              "none.ES256.topOrigin",
			alg:               webauthn.ES256,
			crossOrigin:       true,
			challenge:         "4e1f4c6198699e33c14f192153f49d7e0e8e3577d5ac416c5f3adc92a41f27e5",
			members:           `"crossOrigin":true,"topOrigin":"https://example.com"`,
			id:                "b8ad59b996047ab18e2ceb57206c362da57458793481f4a8ebf101c7ca7cc0f1",
			aaguid:            "97586fd09799a76401c200455099ef2a",
			attestationObject: "a363666d74646e6f6e656761747453746d74a068617574684461746158a4" + exampleHash + "410000000097586fd09799a76401c200455099ef2a0020b8ad59b996047ab18e2ceb57206c362da57458793481f4a8ebf101c7ca7cc0f1a5010203262001215820a1c47c1d82da4ebe82cd72207102b380670701993bc35398ae2e5726427fe01d22582086c1080d82987028c7f54ecb1b01185de243b359294a0ed210cd47480f0adc88",
		},
		{
			// The certificate in the attestation statement, which nothing reads, is left out.
			name:              "packed.RS256",
			alg:               webauthn.RS256,
			challenge:         "bea8f0770009bd57f2c0df6fea9f743a27e4b61bbe923c862c7aad7a9fc8e4a6",
			members:           plain,
			id:                "992a18acc83f67533600c1138a4b4c4bd236de13629cf025ed17cb00b00b74df",
			aaguid:            "428f8878298b9862a36ad8c7527bfef2",
			uv:                true,
			be:                true,
			bs:                true,
			attestationObject: "a363666d74667061636b65646761747453746d74a263616c672663736967584730450221008b8c5c6ea8c142c032e0be69e1353d44461c5c9109941cdda951b976eb95b6b302204d52f406c19e254b3ff9589bd18070fb055ac8db12fdd0a6734bea9d7168e90068617574684461746159021b" + exampleHash + "5d00000000428f8878298b9862a36ad8c7527bfef20020992a18acc83f67533600c1138a4b4c4bd236de13629cf025ed17cb00b00b74dfa4010303390100205901b4" + mersenneProduct() + "2143010001",
			getChallenge:      "295f59f5fa8fe62c5aca9e27626c78c8da376ae6d8cd2dd29aebad601e1bc4c5",
			getMembers:        plain,
			authenticatorData: exampleHash + "1900000000",
			getBS:             true,
			signature:         "01063d52d7c39b4d432fc7063c5d93e582bdcb16889cd71f888d67d880ea730a428498d3bc8e1ee11f2b1ecbe6c292b118c55ffaaddefa8cad0a54dd137c51f1eec673f1bb6c4d1789d6826a222b22d0f585fc901fdc933212e579d199b89d672aa44891333e6a1355536025e82b25590256c3538229b55737083b2f6b9377e49e2472f11952f79fdd0da180b5ffd901b4049a8f081bb40711bef76c62aed943571f2d0575304cb549d68d8892f95086a30f93716aee818f8dc06e96c0d5e0ed4cfa9fd8773d90464b68cf140f7986666ff9c9e3302acd0535d60d769f465e2ab57ef8aabc89fccfef7ba32a64154a8b3d26be2298f470b8cc5377dbe3dfd4b0b45f8f01e63bde6cfc76b62771f9b70aa27cf40152cad93aa5acd784fd4b90f676e2ea828d0bf2400aebbaae4153e5838f537f88b6228346782a93a899be66ec77de45b3efcf311da6321c92e6b0cd11bfe653bf3e98cee8e341f02d67dbb6f9c98d9e8178090cfb5b70fbc6d541599ac794ae2f1d4de1286ec8de8c2daf7b1d15c8438e90d924df5c19045220a4c8438c1b979bbe016cf3d0eeec23c3999d4882cc645b776de930756612cdc6dd398160ff02a6",
		},
		{
			// As above, the certificate is left out.
			name:              "packed.EdDSA",
			alg:               webauthn.EdDSA,
			challenge:         "a8abf9dabdc6b0df63466b39bda9e8a34a34e185337a59f1c579990676d3b3bd",
			members:           extra + `B_DT5g7ZD_-9OTLYX5IvEQ"`,
			id:                "ce9f840ed96599580cd140fbc7bb3230633f50f61041aff73308ae71caa8a2bd",
			aaguid:            "d5aa33581e8ca478e20fe713f5d32ff2",
			attestationObject: "a363666d74667061636b65646761747453746d74a263616c67266373696758483046022100d83f60bd80269537583218858aefb03ac57d45fa06e42feaae332d187f62da9f022100a02bd3cb6f7e1d283c93bad1f3f4b5a4c0494463da7fdbf256949116754d1f176861757468446174615881" + exampleHash + "4100000000d5aa33581e8ca478e20fe713f5d32ff20020ce9f840ed96599580cd140fbc7bb3230633f50f61041aff73308ae71caa8a2bda401010327200621582044e06ddd331c36a8dc667bab52bcae63486c916aa5e339e6acebaa84934bf832",
			getChallenge:      "895957e01c633a698348a2d8a31a54b7db27e8c1c43b2080d79ae2190267bfd2",
			getMembers:        plain,
			authenticatorData: exampleHash + "0100000000",
			signature:         "f5c59c7e46c34f6f8cc197101ddf9934fa2595f68eb1913a637e8419eb9ba4cfdfc48f85393bc0d40b011f0d6fecb097d6607525713223a0dc0d453993dae00b",
		},
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	require.NoError(t, err)
	return data
}

func vectorClientData(kind string, challenge []byte, members string) webauthn.Base64URL {
	return webauthn.Base64URL(`{"type":"` + kind + `","challenge":"` + base64.RawURLEncoding.EncodeToString(challenge) +
		`","origin":"https://example.org",` + members + `}`)
}

func TestVectorsOfTheSpecification(t *testing.T) {
	t.Parallel()
	rp := webauthn.RP{ID: "example.org", Origins: []string{"https://example.org"}}
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			id, challenge := unhex(t, v.id), unhex(t, v.challenge)
			credential, err := rp.Register(challenge, webauthn.RegistrationResponse{
				ID: base64.RawURLEncoding.EncodeToString(id), RawID: id, Type: "public-key",
				Response: webauthn.AttestationResponse{
					ClientDataJSON:    vectorClientData("webauthn.create", challenge, v.members),
					AttestationObject: unhex(t, v.attestationObject),
				},
			}, v.uv)
			if v.crossOrigin {
				require.ErrorContains(t, err, "frame of another origin")
				return
			}
			require.NoError(t, err)
			require.Equal(t, webauthn.Credential{
				ID: id, PublicKey: credential.PublicKey, Alg: v.alg, UserVerified: v.uv, BackupEligible: v.be, BackedUp: v.bs,
				AAGUID: [16]byte(unhex(t, v.aaguid)),
			}, credential)
			require.True(t, strings.HasSuffix(v.attestationObject, hex.EncodeToString(credential.PublicKey)))

			challenge = unhex(t, v.getChallenge)
			assertion, err := rp.Assert(challenge, credential, webauthn.AuthenticationResponse{
				ID: base64.RawURLEncoding.EncodeToString(id), RawID: id, Type: "public-key",
				Response: webauthn.AssertionResponse{
					ClientDataJSON:    vectorClientData("webauthn.get", challenge, v.getMembers),
					AuthenticatorData: unhex(t, v.authenticatorData),
					Signature:         unhex(t, v.signature),
				},
			}, v.getUV)
			require.NoError(t, err)
			require.Equal(t, webauthn.Assertion{UserVerified: v.getUV, BackupEligible: v.be, BackedUp: v.getBS}, assertion)
		})
	}
}
