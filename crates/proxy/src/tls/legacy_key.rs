//! Private keys in the encrypted form that OpenSSL wrote before PKCS #8 (`openssl rsa -aes256 -traditional`): PEM with the
//! headers of RFC 1421, `Proc-Type: 4,ENCRYPTED` and `DEK-Info: CIPHER,IV`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use md5::{Digest, Md5};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivateSec1KeyDer};

/// What marks such a key.
pub(super) const MARK: &str = "Proc-Type: 4,ENCRYPTED";

/// An encrypted key as its PEM says.
struct Sealed {
    is_rsa: bool,
    cipher: String,
    iv: Vec<u8>,
    bytes: Vec<u8>,
}

/// Decrypts the key with the first pass phrase that fits.
pub(super) fn decrypt(pem: &str, passwords: &[Vec<u8>]) -> Result<PrivateKeyDer<'static>, String> {
    let sealed = Sealed::read(pem)?;
    if passwords.is_empty() {
        return Err("it is encrypted, and there is no \"ssl_password_file\"".into());
    }
    for password in passwords {
        // A wrong phrase may leave a good padding by chance, but hardly a whole sequence.
        if let Some(der) = sealed.open(password)?.filter(|der| is_sequence(der)) {
            return Ok(match sealed.is_rsa {
                true => PrivatePkcs1KeyDer::from(der).into(),
                false => PrivateSec1KeyDer::from(der).into(),
            });
        }
    }
    Err("bad decrypt".into())
}

impl Sealed {
    fn read(pem: &str) -> Result<Sealed, String> {
        let broken = |what: &str| format!("bad {what} of an encrypted key");
        let begin = |name: &str| {
            let start = format!("-----BEGIN {name} PRIVATE KEY-----");
            let end = format!("-----END {name} PRIVATE KEY-----");
            let inside = &pem[pem.find(&start)? + start.len()..];
            Some(&inside[..inside.find(&end)?])
        };
        let (is_rsa, inside) = match (begin("RSA"), begin("EC")) {
            (Some(inside), _) if inside.contains(MARK) => (true, inside),
            (_, Some(inside)) if inside.contains(MARK) => (false, inside),
            _ => return Err("encrypted keys of this kind are not supported: RSA and EC are".into()),
        };
        let mut lines = inside.lines().map(str::trim);
        let info = lines.find_map(|line| line.strip_prefix("DEK-Info:")).ok_or_else(|| broken("DEK-Info"))?;
        let (cipher, iv) = info.trim().split_once(',').ok_or_else(|| broken("DEK-Info"))?;
        let text: String = lines.collect();
        Ok(Sealed {
            is_rsa,
            cipher: cipher.to_owned(),
            iv: unhex(iv.trim()).ok_or_else(|| broken("DEK-Info"))?,
            bytes: STANDARD.decode(text).map_err(|_| broken("base64"))?,
        })
    }

    /// What a pass phrase makes of it; `None` where it does not fit.
    fn open(&self, password: &[u8]) -> Result<Option<Vec<u8>>, String> {
        match &*self.cipher {
            "AES-128-CBC" => self.open_with::<aes::Aes128>(password, 16),
            "AES-192-CBC" => self.open_with::<aes::Aes192>(password, 24),
            "AES-256-CBC" => self.open_with::<aes::Aes256>(password, 32),
            "DES-EDE3-CBC" => self.open_with::<des::TdesEde3>(password, 24),
            other => Err(format!("the cipher \"{other}\" of an encrypted key is not supported")),
        }
    }

    fn open_with<C: BlockCipherDecrypt + KeyInit>(
        &self,
        password: &[u8],
        key_bytes: usize,
    ) -> Result<Option<Vec<u8>>, String> {
        let salt = self.iv.get(..8).ok_or("bad DEK-Info of an encrypted key")?;
        let key = derive(password, salt, key_bytes);
        let decryptor = Decryptor::<C>::new_from_slices(&key, &self.iv);
        let decryptor = decryptor.map_err(|_| "bad DEK-Info of an encrypted key".to_owned())?;
        let mut bytes = self.bytes.clone();
        Ok(decryptor.decrypt_padded::<Pkcs7>(&mut bytes).ok().map(<[u8]>::to_vec))
    }
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn derive(password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let (mut key, mut last) = (Vec::new(), Vec::new());
    while key.len() < length {
        last = Md5::digest([&last[..], password, salt].concat()).to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit))
        .then(|| digits.chunks(2).map(byte).collect())
        .flatten()
}

/// Whether the bytes are one DER sequence to their end.
fn is_sequence(der: &[u8]) -> bool {
    use x509_cert::der::{Decode, asn1::AnyRef};
    AnyRef::from_der(der).is_ok_and(|any| any.value().len() < der.len()) && der.first() == Some(&0x30)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn openssl(arguments: &[&str]) -> String {
        let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("PEM is text")
    }

    #[test]
    fn keys_that_openssl_has_encrypted_are_decrypted() {
        let place = tempfile::tempdir().expect("a directory");
        let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
        std::fs::write(path("rsa"), openssl(&["genrsa", "-traditional", "2048"])).expect("a file");
        let ec = ["ecparam", "-name", "prime256v1", "-genkey", "-noout"];
        std::fs::write(path("ec"), openssl(&ec)).expect("a file");
        let words = [b"wrong".to_vec(), b"right".to_vec()];
        for kind in ["rsa", "ec"] {
            let plain = std::fs::read_to_string(path(kind)).expect("it was written");
            let plain = <PrivateKeyDer<'_> as rustls::pki_types::pem::PemObject>::from_pem_slice(plain.as_bytes());
            let plain = plain.expect("a key");
            for cipher in ["-aes128", "-aes192", "-aes256", "-des3"] {
                let sealed = match kind {
                    "rsa" => openssl(&["rsa", "-in", &path(kind), cipher, "-traditional", "-passout", "pass:right"]),
                    _ => openssl(&["ec", "-in", &path(kind), cipher, "-passout", "pass:right"]),
                };
                assert!(sealed.contains(MARK), "{sealed}");
                let opened = decrypt(&sealed, &words).expect("the phrase fits");
                assert_eq!(opened.secret_der(), plain.secret_der(), "{kind} {cipher}");
                assert_eq!(decrypt(&sealed, &words[..1]).err().as_deref(), Some("bad decrypt"));
                assert!(decrypt(&sealed, &[]).is_err_and(|why| why.contains("ssl_password_file")));
            }
        }
    }

    #[test]
    fn what_is_no_such_key_is_said() {
        let key = |info: &str, text: &str| {
            format!("-----BEGIN RSA PRIVATE KEY-----\n{MARK}\n{info}\n\n{text}\n-----END RSA PRIVATE KEY-----\n")
        };
        let says = |pem: String| decrypt(&pem, &[b"x".to_vec()]).expect_err("it is none");
        assert_eq!(says(key("DEK-Info: RC4,00", "AAAA")), "the cipher \"RC4\" of an encrypted key is not supported");
        assert_eq!(says(key("DEK-Info: AES-128-CBC,0011", "AAAA")), "bad DEK-Info of an encrypted key");
        assert_eq!(says(key("DEK-Info: AES-128-CBC,+1", "AAAA")), "bad DEK-Info of an encrypted key");
        assert_eq!(
            says(key("DEK-Info: AES-128-CBC,00112233445566778899aabbccddeeff", "?")),
            "bad base64 of an encrypted key"
        );
        assert_eq!(says(key("DEK-Info: AES-128-CBC,00112233445566778899aabbccddeeff", "AAAA")), "bad decrypt");
        assert!(says(format!("-----BEGIN DSA PRIVATE KEY-----\n{MARK}\n")).contains("not supported"));
    }
}
