//! `signed`: a client can carry a server's id, but not choose one.
//!
//! A signed value is `ID.UNTIL.MAC`: the id, the second until which it holds in hexadecimal (`0`: without end), and the
//! HMAC-SHA256 (RFC 2104) of upstream, id and end in base64url. Base64 has no dot, so the parts are found from the
//! back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;

/// Signs ids of servers, and knows its own signatures.
#[derive(Clone)]
pub struct Signer {
    /// The keys with the upstream's name in them already. The first signs, all are recognised.
    keys: Vec<Hmac<Sha256>>,
}

impl Signer {
    /// A signer for the servers of one upstream: what is signed for another is not recognised. Keys are rotated by
    /// putting a new one in front. Without a key nothing is recognised.
    pub fn new<'k>(keys: impl IntoIterator<Item = &'k [u8]>, upstream: &str) -> Signer {
        let keyed = |key: &[u8]| {
            let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
            // A length stands before it, so that no id can continue a name.
            mac.chain_update((upstream.len() as u64).to_be_bytes()).chain_update(upstream)
        };
        Signer { keys: keys.into_iter().map(keyed).collect() }
    }

    /// The id with its signature, good until and with the second `until`, or without end.
    pub fn sign(&self, id: &str, until: Option<u64>) -> String {
        let signed = format!("{id}.{:x}", until.unwrap_or(0));
        let Some(key) = self.keys.first() else { return signed };
        let mac = key.clone().chain_update(&signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// The id in a value that was signed here and is not over at `unix`.
    pub fn verify<'v>(&self, value: &'v [u8], unix: u64) -> Option<&'v [u8]> {
        let (signed, mac) = split_last(value)?;
        let (id, until) = split_last(signed)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        // Compared in constant time.
        let is_ours = |key: &Hmac<Sha256>| key.clone().chain_update(signed).verify_slice(&mac).is_ok();
        self.keys.iter().any(is_ours).then_some(())?;
        let until = u64::from_str_radix(std::str::from_utf8(until).ok()?, 16).ok()?;
        (until == 0 || unix <= until).then_some(id)
    }
}

impl fmt::Debug for Signer {
    /// Keys are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({} keys)", self.keys.len())
    }
}

fn split_last(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = value.iter().rposition(|&byte| byte == b'.')?;
    Some((&value[..dot], &value[dot + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signer(key: &str) -> Signer {
        Signer::new([key.as_bytes()], "chat")
    }

    #[test]
    fn an_id_is_recognised_until_its_end() {
        let value = signer("k").sign("backend.1", Some(1000));
        assert!(value.starts_with("backend.1.3e8."));
        assert_eq!(signer("k").verify(value.as_bytes(), 1000), Some(&b"backend.1"[..]));
        assert_eq!(signer("k").verify(value.as_bytes(), 1001), None);
        let endless = signer("k").sign("a", None);
        assert_eq!(signer("k").verify(endless.as_bytes(), u64::MAX), Some(&b"a"[..]));
    }

    #[test]
    fn what_others_signed_is_not_recognised() {
        let value = signer("k").sign("a", None);
        assert_eq!(signer("other").verify(value.as_bytes(), 0), None);
        assert_eq!(Signer::new([&b"k"[..]], "news").verify(value.as_bytes(), 0), None);
        assert_eq!(Signer::new([], "chat").verify(Signer::new([], "chat").sign("a", None).as_bytes(), 0), None);
    }

    #[test]
    fn an_old_key_is_recognised_and_a_new_one_signs() {
        let value = signer("old").sign("a", None);
        let both = Signer::new([&b"new"[..], b"old"], "chat");
        assert_eq!(both.verify(value.as_bytes(), 0), Some(&b"a"[..]));
        assert_eq!(both.sign("a", None), signer("new").sign("a", None));
    }

    #[test]
    fn keys_are_not_shown() {
        assert_eq!(format!("{:?}", signer("secret")), "Signer(1 keys)");
    }

    proptest! {
        #[test]
        fn no_changed_byte_is_accepted(id in "[a-z.]{1,20}", at: prop::sample::Index, bit in 0..8_u8) {
            let mut value = signer("k").sign(&id, Some(1000)).into_bytes();
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            prop_assert_eq!(signer("k").verify(&value, 0), None);
        }

        #[test]
        fn no_bytes_make_it_panic(value: Vec<u8>) {
            prop_assert_eq!(signer("k").verify(&value, 0), None);
        }
    }
}
