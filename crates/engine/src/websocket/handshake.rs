//! The opening handshake of RFC 6455: is this request one, and which answer proves that it was understood.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest as _, Sha1};

/// What every server appends to the client's key. RFC 6455 section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Some clients draw the key's 24 characters at random, so its unused last bits are not held against them.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The value of `Sec-WebSocket-Accept` that answers `key`, the value of `Sec-WebSocket-Key` as it was sent.
/// RFC 6455 section 4.2.2.
pub fn accept_for(key: &[u8]) -> [u8; 28] {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut accept = [0; 28];
    BASE64.encode_slice(digest, &mut accept).expect("20 bytes are 28 characters of base64");
    accept
}

/// The parts of a request that make it an opening handshake, or not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offer<'a> {
    /// The method.
    pub method: &'a [u8],
    /// Whether the request is of HTTP/1.1 or a later minor version.
    pub http_1_1: bool,
    /// `Upgrade`.
    pub upgrade: Option<&'a [u8]>,
    /// `Connection`.
    pub connection: Option<&'a [u8]>,
    /// `Sec-WebSocket-Key`.
    pub key: Option<&'a [u8]>,
    /// `Sec-WebSocket-Version`.
    pub version: Option<&'a [u8]>,
    /// Whether the request names a host.
    pub host: bool,
}

impl Offer<'_> {
    /// Whether the request is an opening handshake that a server must be able to take. RFC 6455 section 4.2.1.
    pub fn is_handshake(&self) -> bool {
        self.method == b"GET"
            && self.http_1_1
            && self.host
            && self.upgrade.is_some_and(|list| has_token(list, "websocket"))
            && self.connection.is_some_and(|list| has_token(list, "upgrade"))
            && self.key.is_some_and(is_key)
            && self.version.is_some_and(|version| version.trim_ascii() == b"13")
    }
}

/// Whether `key` is 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    let mut nonce = [0; 18];
    matches!(BASE64.decode_slice(key.trim_ascii(), &mut nonce), Ok(16))
}

/// Whether a comma-separated header value has `token` in it, in any case. RFC 9110 section 5.6.1.
pub fn has_token(list: &[u8], token: impl AsRef<[u8]>) -> bool {
    let token = token.as_ref();
    list.len() >= token.len()
        && list.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 section 1.2.
    fn offer() -> Offer<'static> {
        Offer {
            method: b"GET",
            http_1_1: true,
            upgrade: Some(b"websocket"),
            connection: Some(b"Upgrade"),
            key: Some(b"dGhlIHNhbXBsZSBub25jZQ=="),
            version: Some(b"13"),
            host: true,
        }
    }

    #[test]
    fn the_key_of_the_rfc_gets_the_answer_of_the_rfc() {
        assert_eq!(&accept_for(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_example_of_the_rfc_is_a_handshake() {
        assert!(offer().is_handshake());
    }

    #[test]
    fn lists_and_letter_case_make_no_difference() {
        assert!(Offer { connection: Some(b"keep-alive, UPGRADE"), ..offer() }.is_handshake());
        assert!(Offer { upgrade: Some(b"h2c ,\tWebSocket"), ..offer() }.is_handshake());
        assert!(Offer { version: Some(b" 13 "), ..offer() }.is_handshake());
    }

    #[test]
    fn a_key_with_stray_last_bits_is_still_a_key() {
        assert!(Offer { key: Some(b"AAAAAAAAAAAAAAAAAAAAAB=="), ..offer() }.is_handshake());
    }

    #[test]
    fn a_request_that_lacks_a_part_is_no_handshake() {
        let not = [
            Offer { method: b"POST", ..offer() },
            Offer { method: b"get", ..offer() },
            Offer { http_1_1: false, ..offer() },
            Offer { host: false, ..offer() },
            Offer { upgrade: None, ..offer() },
            Offer { upgrade: Some(b"websockets"), ..offer() },
            Offer { upgrade: Some(b"web socket"), ..offer() },
            Offer { connection: None, ..offer() },
            Offer { connection: Some(b"keep-alive"), ..offer() },
            Offer { connection: Some(b"no-upgrade"), ..offer() },
            Offer { key: None, ..offer() },
            Offer { key: Some(b""), ..offer() },
            Offer { key: Some(b"dGhlIHNhbXBsZSBub25jZQ"), ..offer() },
            Offer { key: Some(b"dGhlIHNhbXBsZSBub25jZSE="), ..offer() },
            Offer { key: Some(&[b'A'; 10_000]), ..offer() },
            Offer { key: Some(b"dGhl\xffHNhbXBsZSBub25jZQ=="), ..offer() },
            Offer { version: None, ..offer() },
            Offer { version: Some(b"8"), ..offer() },
            Offer { version: Some(b"13, 8"), ..offer() },
        ];
        for offer in not {
            assert!(!offer.is_handshake(), "{offer:?}");
        }
    }

    #[test]
    fn a_token_is_a_whole_item_of_the_list() {
        assert!(has_token(b"a, b ,\tc", "B"));
        assert!(has_token(b",,a", "a"));
        assert!(!has_token(b"ab, c d", "a"));
        assert!(!has_token(b"c d", "d"));
        assert!(!has_token(b"", "a"));
    }
}
