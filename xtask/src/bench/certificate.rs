//! The certificate of the rows over TLS: ECDSA on P-256, the same for all.

use anyhow::{Context, Result};
use rcgen::{KeyPair, generate_simple_self_signed};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::path::Path;

/// Whom it is for.
pub(super) const NAME: &str = "localhost";

/// Writes it into `directory` in the forms that the proxies want.
pub(super) fn write(directory: &Path) -> Result<()> {
    let made = generate_simple_self_signed([NAME.to_owned()]).context("no certificate")?;
    let key = KeyPair::serialize_pem(&made.signing_key);
    fs::write(directory.join("bench.crt"), made.cert.pem())?;
    fs::write(directory.join("bench.key"), &key)?;
    fs::write(directory.join("bench.pem"), made.cert.pem() + &key)?;
    Ok(())
}

/// Reads it.
pub(super) fn read(directory: &Path) -> Result<CertificateDer<'static>> {
    let file = directory.join("bench.crt");
    CertificateDer::from_pem_file(&file).with_context(|| format!("could not read {}", file.display()))
}
