//! The hashes of crypt that cost memory as well as time: yescrypt (`$y$`), gost-yescrypt (`$gy$`) and scrypt (`$7$`).

use super::htpasswd::is_equal;
use hmac::{Hmac, KeyInit as _, Mac as _};
use scrypt::Scrypt;
use streebog::{Digest as _, Streebog256};
use yescrypt::{Params, PasswordHashRef, PasswordVerifier as _, Yescrypt};

/// Whether `hash` was made of `password`; `None` where it is none of these kinds.
pub(super) fn verify(password: &[u8], hash: &str) -> Option<bool> {
    match hash {
        _ if hash.starts_with("$y$") => Some(Yescrypt::default().verify_password(password, hash).is_ok()),
        _ if hash.starts_with("$7$") => Some(scrypt(password, hash).is_some()),
        _ if hash.starts_with("$gy$") => Some(gost(password, hash).unwrap_or(false)),
        _ => None,
    }
}

fn scrypt(password: &[u8], hash: &str) -> Option<()> {
    let hash = PasswordHashRef::new(hash).ok()?;
    Scrypt::default().verify_password(password, hash).ok()
}

const DIGEST_BYTES: usize = 32;

/// gost-yescrypt: HMACs of Streebog (GOST R 34.11-2012) around a yescrypt, keyed by the password and by the hash's settings.
fn gost(password: &[u8], hash: &str) -> Option<bool> {
    let (settings, wanted) = hash.rsplit_once('$')?;
    let (params, salt) = settings.strip_prefix("$gy$")?.split_once('$')?;
    let params: Params = params.parse().ok()?;
    let mut inner = [0; DIGEST_BYTES];
    yescrypt::yescrypt(password, &decode(salt)?, &params, &mut inner).ok()?;
    let key = mac(&Streebog256::digest(password), settings.as_bytes())?;
    Some(is_equal(&mac(&key, &inner)?, &decode(wanted)?))
}

fn mac(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let mac = Hmac::<Streebog256>::new_from_slice(key).ok()?;
    Some(mac.chain_update(message).finalize().into_bytes().to_vec())
}

/// Bytes from the digits of crypt: six bits each, the lowest first.
fn decode(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut bytes = Vec::new();
    for group in text.as_bytes().chunks(4) {
        let mut bits = 0;
        for (place, digit) in group.iter().enumerate() {
            let value = DIGITS.iter().position(|known| known == digit)?;
            bits |= (value as u32) << (6 * place);
        }
        bytes.extend_from_slice(&bits.to_le_bytes()[..group.len() * 6 / 8]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_that_crypt_made_tell_the_right_password() {
        for hash in [
            "$y$j9T$abcdefgh$IUWJt2doU4Kf6E/JP1UkAT3S5O3Q7SSA8SJirXIlEu9",
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$GmcwIgvdUC9qLWcKCi6gklUa1dM3ziD43YxYNURLKy0",
            "$y$j75$abcdefgh$uMUXG79B2cFpoAYyDccUnsaH/aGTyBYMlnQidzyag01",
            "$7$CU..../....abcdefgh$XWs9HxtpA2.6U5CDBBbcW.h3o9pYlC.MIIb8JqMgZx6",
            "$7$CU..../....F5Jx5fExrKuPp53xLKQ..1$whrYe9Xe1y0TuvX2p7d.1q1OxyBsKCsnXfJ.FlXyXS6",
            "$gy$j9T$abcdefgh$Fi3mUfLMwr2ZyDlmydp6rw5RwzYJnsb1LquZlQ2CYq0",
            "$gy$j9T$F5Jx5fExrKuPp53xLKQ..1$uE5FcoxTz78xZpMZkpTmj/0MogyeNUSLIjdCxpQjz.8",
        ] {
            assert_eq!(verify(b"secret", hash), Some(true), "{hash}");
            assert_eq!(verify(b"Secret", hash), Some(false), "{hash}");
            assert_eq!(verify(b"", hash), Some(false), "{hash}");
        }
    }

    #[test]
    fn what_is_broken_matches_nothing() {
        for hash in [
            "$y$",
            "$y$j9T$",
            "$y$j9T$abc$def$ghi",
            "$y$\u{e9}$a$b",
            "$7$",
            "$7$C",
            "$7$CU..../....",
            "$gy$",
            "$gy$j9T$a$",
        ] {
            assert_eq!(verify(b"secret", hash), Some(false), "{hash}");
        }
        assert_eq!(verify(b"secret", "$2y$04$abc"), None);
    }
}
