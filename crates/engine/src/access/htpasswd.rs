//! `auth_basic_user_file`: whose password is which, and whether a password is the one that a hash was made of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};
use sha1::Sha1;

/// What a hash says about a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was made of it.
    Match,
    /// It was made of another one.
    Mismatch,
    /// Nobody here knows this kind of hash.
    Unknown,
}

/// The hash of a user in a file of lines `user:hash` or `user:hash:comment`; lines that begin with `#` are comments.
pub fn hash_of<'f>(file: &'f [u8], user: &[u8]) -> Option<&'f [u8]> {
    file.split(|&b| b == b'\n').filter(|line| !line.starts_with(b"#")).find_map(|line| {
        let rest = line.strip_prefix(user)?.strip_prefix(b":")?;
        let end = rest.iter().position(|b| matches!(b, b':' | b'\r')).unwrap_or(rest.len());
        Some(&rest[..end])
    })
}

/// Whether checking against this hash takes so long that nobody may wait for it.
pub fn is_slow(hash: &[u8]) -> bool {
    hash.starts_with(b"$")
}

/// Whether `hash` was made of `password`: `{PLAIN}`, `{SHA}`, `{SSHA}`, `$apr1$`, and what crypt knows: DES, BSDi, `$1$`,
/// `$2a$`, `$2b$`, `$2y$`, `$5$`, `$6$`, `$7$`, `$y$`, `$gy$` and `$sha1$`.
pub fn verify(password: &[u8], hash: &[u8]) -> Verdict {
    if let Some(plain) = hash.strip_prefix(b"{PLAIN}") {
        return verdict(is_equal(password, plain));
    }
    if let Some(encoded) = hash.strip_prefix(b"{SHA}") {
        return verdict(is_equal(STANDARD.encode(Sha1::digest(password)).as_bytes(), encoded));
    }
    if let Some(encoded) = hash.strip_prefix(b"{SSHA}") {
        return verdict(is_salted_sha(password, encoded));
    }
    let Ok(text) = str::from_utf8(hash) else { return Verdict::Unknown };
    // crypt takes a password up to its first NUL.
    let password = password.split(|&b| b == 0).next().unwrap_or_default();
    if text.starts_with("$apr1$") {
        return verdict(is_equal(apr1(password, hash).as_bytes(), hash));
    }
    if let Some(matches) = super::memory_hard::verify(password, text) {
        return verdict(matches);
    }
    match is_known_to_crypt(text) {
        true => verdict(pwhash::unix::verify(password, text)),
        false => Verdict::Unknown,
    }
}

fn verdict(matches: bool) -> Verdict {
    if matches { Verdict::Match } else { Verdict::Mismatch }
}

fn is_known_to_crypt(hash: &str) -> bool {
    const MODULAR: [&str; 7] = ["$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$sha1$"];
    let is_des = hash.len() >= 13 && hash.bytes().take(13).all(is_salt_byte);
    is_des || hash.starts_with('_') || MODULAR.iter().any(|prefix| hash.starts_with(prefix))
}

fn is_salt_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

fn is_salted_sha(password: &[u8], encoded: &[u8]) -> bool {
    const DIGEST_BYTES: usize = 20;
    let Ok(decoded) = STANDARD.decode(encoded) else { return false };
    let Some((digest, salt)) = decoded.split_at_checked(DIGEST_BYTES) else { return false };
    is_equal(&Sha1::new().chain_update(password).chain_update(salt).finalize(), digest)
}

/// Compares in a time that does not tell where the difference is.
pub(super) fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

/// Apache's variant of the MD5 crypt: a thousand rounds with a magic string of its own.
fn apr1(password: &[u8], hash: &[u8]) -> String {
    const MAGIC: &[u8] = b"$apr1$";
    const SALT_BYTES_MAX: usize = 8;
    let rest = &hash[MAGIC.len()..];
    let salt = rest.split(|&b| b == b'$').next().unwrap_or_default();
    let salt = &salt[..salt.len().min(SALT_BYTES_MAX)];
    let inner = Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(MAGIC).chain_update(salt);
    for chunk in password.chunks(inner.len()) {
        outer.update(&inner[..chunk.len()]);
    }
    let mut length = password.len();
    while length > 0 {
        outer.update(if length & 1 == 1 { &[0] } else { &password[..1] });
        length >>= 1;
    }
    let mut sum = outer.finalize();
    for round in 0..1000 {
        let mut next = Md5::new();
        next.update(if round & 1 == 1 { password } else { &sum[..] });
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        next.update(if round & 1 == 1 { &sum[..] } else { password });
        sum = next.finalize();
    }
    format!("$apr1${}${}", String::from_utf8_lossy(salt), md5_text(&sum))
}

/// The 22 characters of a crypt hash that is an MD5.
fn md5_text(sum: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = String::new();
    let mut push = |mut bits: u32, count: usize| {
        for _ in 0..count {
            text.push(char::from(DIGITS[(bits & 0x3f) as usize]));
            bits >>= 6;
        }
    };
    let byte = |at: usize| u32::from(sum[at]);
    for [high, middle, low] in [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]] {
        push(byte(high) << 16 | byte(middle) << 8 | byte(low), 4);
    }
    push(byte(11), 2);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_kind_of_hash_tells_the_right_password() {
        for hash in [
            "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/",
            "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1",
            "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.",
            "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.",
            "abNANd1rDfiNc",
            "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW",
            "{PLAIN}secret",
            "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
        ] {
            assert_eq!(verify(b"secret", hash.as_bytes()), Verdict::Match, "{hash}");
            assert_eq!(verify(b"Secret", hash.as_bytes()), Verdict::Mismatch, "{hash}");
            assert_eq!(verify(b"", hash.as_bytes()), Verdict::Mismatch, "{hash}");
        }
    }

    #[test]
    fn a_salted_sha_is_made_of_password_and_salt() {
        let mut bytes = Sha1::new().chain_update(b"secret").chain_update(b"salt").finalize().to_vec();
        bytes.extend_from_slice(b"salt");
        let hash = format!("{{SSHA}}{}", STANDARD.encode(bytes));
        assert_eq!(verify(b"secret", hash.as_bytes()), Verdict::Match);
        assert_eq!(verify(b"other", hash.as_bytes()), Verdict::Mismatch);
        assert_eq!(verify(b"", b"{SSHA}"), Verdict::Mismatch);
    }

    #[test]
    fn other_hashes_are_known_to_be_unknown() {
        for hash in ["", "secret", "{SHA512}xyz", "$", "$apr2$x$y"] {
            assert_eq!(verify(b"secret", hash.as_bytes()), Verdict::Unknown, "{hash}");
        }
        for broken in ["$2y$", "$2y$99$abc", "$5$", "$apr1$", "$apr1$salt", "$1$", "_"] {
            assert_ne!(verify(b"secret", broken.as_bytes()), Verdict::Match, "{broken}");
        }
    }

    #[test]
    fn the_first_line_of_a_user_counts() {
        let file = b"# comment\nann:one\nannabel:two:comment\r\nann:three\n\nbob:four\r\n";
        assert_eq!(hash_of(file, b"ann"), Some(&b"one"[..]));
        assert_eq!(hash_of(file, b"annabel"), Some(&b"two"[..]));
        assert_eq!(hash_of(file, b"bob"), Some(&b"four"[..]));
        assert_eq!(hash_of(file, b"an"), None);
        assert_eq!(hash_of(file, b"# comment"), None);
    }
}
