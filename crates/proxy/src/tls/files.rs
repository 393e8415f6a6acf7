//! Certificates, keys and lists of revoked certificates out of PEM, with nginx's words for what is wrong with them.

use super::legacy_key;
use crate::observe::error_log::os_error;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::fmt::Display;
use std::io;
use std::path::Path;

/// A certificate with its chain, and its key.
pub(crate) fn certified(certificate: Text<'_>, key: Text<'_>, passwords: &[Vec<u8>]) -> Result<CertifiedKey, String> {
    let bytes = certificate
        .read()
        .map_err(|error| cannot_load("certificate", certificate, "BIO_new_file()", os_error(&error)))?;
    let chain = certificates(&bytes)
        .map_err(|error| cannot_load("certificate", certificate, "PEM_read_bio_X509_AUX()", error))?;
    // What is not a certificate inside is found when it is used otherwise.
    for (nth, certificate_der) in chain.iter().enumerate() {
        if let Err(error) = x509_parser::parse_x509_certificate(certificate_der) {
            return Err(cannot_load("certificate", certificate, &format!("certificate {nth} of the file"), error));
        }
    }
    let bytes = key.read().map_err(|error| cannot_load("certificate key", key, "BIO_new_file()", os_error(&error)))?;
    let der = private_key(&bytes, passwords)
        .map_err(|error| cannot_load("certificate key", key, "PEM_read_bio_PrivateKey()", error))?;
    let signer = any_supported_type(&der)
        .map_err(|error| cannot_load("certificate key", key, "PEM_read_bio_PrivateKey()", error))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(format!("SSL_CTX_use_PrivateKey(\"{key}\") failed (SSL: key values mismatch)"))
        }
        Err(rustls::Error::InconsistentKeys(_)) | Ok(()) => Ok(certified),
        Err(error) => Err(cannot_load("certificate", certificate, "SSL_CTX_use_certificate()", error)),
    }
}

/// A file, or the text itself where a directive says `data:`.
#[derive(Clone, Copy)]
pub(crate) enum Text<'a> {
    File(&'a Path),
    Data(&'a [u8]),
}

impl Text<'_> {
    fn read(self) -> io::Result<Vec<u8>> {
        match self {
            Text::File(path) => read(path),
            Text::Data(bytes) => Ok(bytes.to_vec()),
        }
    }
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Text::File(path) => write!(f, "{}", path.display()),
            Text::Data(_) => write!(f, "data:..."),
        }
    }
}

/// A file that may be root's alone.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    crate::lifecycle::as_root(|| std::fs::read(path))
}

fn cannot_load(what: &str, file: Text<'_>, call: &str, error: impl Display) -> String {
    format!("cannot load {what} \"{file}\": {call} failed (SSL: {error})")
}

/// The certificates of a PEM file: at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    // OpenSSL's own label of a certificate with trust settings, whose first part is the certificate.
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() { Err("no start line:Expecting: CERTIFICATE".into()) } else { Ok(found) }
}

/// The lists of a PEM file: at least one.
pub(super) fn revocation_lists(pem: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() { Err("no start line:Expecting: X509 CRL".into()) } else { Ok(found) }
}

fn private_key(pem: &[u8], passwords: &[Vec<u8>]) -> Result<PrivateKeyDer<'static>, String> {
    let text = String::from_utf8_lossy(pem);
    if text.contains(legacy_key::MARK) {
        return legacy_key::decrypt(&text, passwords);
    }
    if let Some(start) = text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return decrypt(&text[start..], passwords);
    }
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => Err("no start line:Expecting: ANY PRIVATE KEY".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn decrypt(pem: &str, passwords: &[Vec<u8>]) -> Result<PrivateKeyDer<'static>, String> {
    let end = "-----END ENCRYPTED PRIVATE KEY-----";
    let pem = pem.find(end).map_or(pem, |at| &pem[..at + end.len()]).replace('\r', "");
    let (_, der) = pkcs8::SecretDocument::from_pem(&pem).map_err(|error| error.to_string())?;
    let encrypted = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der.as_bytes()).map_err(|error| error.to_string())?;
    if passwords.is_empty() {
        return Err("it is encrypted, and there is no \"ssl_password_file\"".into());
    }
    let mut problem = String::new();
    for password in passwords {
        match encrypted.decrypt(password) {
            Ok(key) => return Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into()),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(format!("bad decrypt: {problem}"))
}

/// The lines of an `ssl_password_file`.
pub(crate) fn passwords(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let bytes = read(path).map_err(|error| format!("open() \"{}\" failed ({})", path.display(), os_error(&error)))?;
    let lines = bytes.split(|&b| b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec());
    Ok(lines.filter(|line| !line.is_empty()).collect())
}
