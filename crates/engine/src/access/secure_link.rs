//! `secure_link`: an MD5 in the request proves that somebody who knows the secret has made its link.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::{Digest as _, Md5};

/// nginx takes padding or leaves it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The longest MD5 in base64, with padding.
const MD5_TEXT_MAX: usize = 24;

/// The part behind the comma.
fn behind_comma(link: &[u8]) -> Option<&[u8]> {
    let comma = link.iter().position(|&b| b == b',')?;
    Some(&link[comma + 1..])
}

/// When the link expires, in seconds since 1970. `None`: it does not say so, or not in a way that makes sense.
pub fn expiry_of(link: &[u8]) -> Option<&[u8]> {
    behind_comma(link).filter(|text| number(text).is_some_and(|expires| expires > 0))
}

/// The value of `$secure_link` where `secure_link` gives `link` and `secure_link_md5` the text `hashed`: `1`, `0` for a link
/// that has expired by `now` (seconds since 1970), or nothing for a forged one.
pub fn check_link(link: &[u8], hashed: &[u8], now: u64) -> Option<&'static [u8]> {
    let expires = match behind_comma(link) {
        Some(text) => Some(number(text).filter(|&expires| expires > 0)?),
        None => None,
    };
    let proof = link.split(|&b| b == b',').next().unwrap_or_default();
    if proof.len() > MD5_TEXT_MAX {
        return None;
    }
    let decoded = LENIENT.decode(proof).ok()?;
    if decoded[..] != Md5::digest(hashed)[..] {
        return None;
    }
    Some(if expires.is_some_and(|expires| expires < now) { b"0" } else { b"1" })
}

/// The value of `$secure_link` where `secure_link_secret` stands: of a URI `/prefix/MD5/link` the link, if the MD5 is that
/// of the link and the secret.
pub fn check_secret<'u>(uri: &'u [u8], secret: &[u8]) -> Option<&'u [u8]> {
    let mut parts = uri.get(1..)?.splitn(3, |&b| b == b'/').skip(1);
    let (proof, link) = (parts.next()?, parts.next()?);
    if link.is_empty() || proof.len() != 32 {
        return None;
    }
    let wanted = Md5::new().chain_update(link).chain_update(secret).finalize();
    let text: String = wanted.iter().map(|byte| format!("{byte:02x}")).collect();
    proof.eq_ignore_ascii_case(text.as_bytes()).then_some(link)
}

fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    str::from_utf8(text).ok().filter(|_| is_number)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{URL_SAFE as PADDED, URL_SAFE_NO_PAD as BARE};

    #[test]
    fn a_link_with_the_right_md5_is_good_until_it_expires() {
        let proof = BARE.encode(Md5::digest(b"2147483647/s/link secret"));
        let link = format!("{proof},2147483647");
        let check = |link: &str, now| check_link(link.as_bytes(), b"2147483647/s/link secret", now);
        assert_eq!(check(&link, 2_147_483_647), Some(&b"1"[..]));
        assert_eq!(check(&link, 2_147_483_648), Some(&b"0"[..]));
        assert_eq!(check(&proof, u64::MAX), Some(&b"1"[..]), "a link without a time does not expire");
        assert_eq!(check(&PADDED.encode(Md5::digest(b"2147483647/s/link secret")), 0), Some(&b"1"[..]));
        for bad in ["", ",", "x", &format!("{proof},"), &format!("{proof},0"), &format!("{proof},x"), &"A".repeat(22)] {
            assert_eq!(check(bad, 0), None, "{bad}");
        }
    }

    #[test]
    fn a_secret_path_is_its_link() {
        let md5: String = Md5::digest(b"a/b?csecret").iter().map(|byte| format!("{byte:02x}")).collect();
        let uri = format!("/p/{md5}/a/b?c");
        assert_eq!(check_secret(uri.as_bytes(), b"secret"), Some(&b"a/b?c"[..]));
        assert_eq!(check_secret(uri.as_bytes(), b"other"), None);
        for bad in ["", "/", "/p/", "/p/x/link", &format!("/p/{md5}/"), &format!("/p/{md5}")] {
            assert_eq!(check_secret(bad.as_bytes(), b"secret"), None, "{bad}");
        }
    }
}
