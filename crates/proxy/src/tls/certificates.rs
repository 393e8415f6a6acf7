//! Which certificate a handshake is answered with.

use super::files::{self, Text};
use super::stapling::{self, Answer, Staple};
use crate::observe::error_log::os_error;
use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, SignatureAlgorithm};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Certificates that were read already, so that servers that share one share its memory.
#[derive(Default)]
pub(super) struct Loaded(HashMap<Files, Arc<CertifiedKey>>);

/// What a certificate was read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    passwords: Option<PathBuf>,
    staple: Option<PathBuf>,
}

impl Loaded {
    /// Reads a certificate and its key, or finds them read.
    pub(super) fn load(
        &mut self,
        certificate: &Path,
        key: &Path,
        passwords: Option<&Path>,
        staple: Option<&Path>,
    ) -> Result<Arc<CertifiedKey>, String> {
        let files = Files {
            certificate: certificate.into(),
            key: key.into(),
            passwords: passwords.map(Into::into),
            staple: staple.map(Into::into),
        };
        if let Some(loaded) = self.0.get(&files) {
            return Ok(loaded.clone());
        }
        let words = passwords.map(files::passwords).transpose()?.unwrap_or_default();
        let mut certified = files::certified(Text::File(certificate), Text::File(key), &words)?;
        if let Some(staple) = staple {
            let response = files::read(staple).map_err(|error| {
                format!("BIO_new_file(\"{}\") failed (SSL: {})", staple.display(), os_error(&error))
            })?;
            stapling::is_response(&response)
                .map_err(|error| format!("d2i_OCSP_RESPONSE_bio(\"{}\") failed (SSL: {error})", staple.display()))?;
            certified.ocsp = Some(response);
        }
        let certified = Arc::new(certified);
        self.0.insert(files, certified.clone());
        Ok(certified)
    }
}

/// The certificates of a server: the first whose key the client can verify, ECDSA before RSA, since it is signed with faster.
#[derive(Debug)]
pub(super) struct Certificates {
    shown: Vec<Shown>,
}

/// A certificate, and what its issuer's responder says of it.
#[derive(Debug)]
pub(super) struct Shown {
    certified: Arc<CertifiedKey>,
    staple: Option<Arc<Staple>>,
    /// With the latest answer that was shown.
    stapled: ArcSwapOption<Stapled>,
}

struct Stapled {
    answer: Arc<Answer>,
    certified: Arc<CertifiedKey>,
}

impl std::fmt::Debug for Stapled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.certified.fmt(f)
    }
}

impl Shown {
    pub(super) fn new(certified: Arc<CertifiedKey>, staple: Option<Arc<Staple>>) -> Shown {
        Shown { certified, staple, stapled: ArcSwapOption::empty() }
    }

    /// As it is shown now.
    fn now(&self) -> Arc<CertifiedKey> {
        let Some(answer) = self.staple.as_ref().and_then(|staple| staple.answer()) else {
            return self.certified.clone();
        };
        if let Some(stapled) = &*self.stapled.load()
            && Arc::ptr_eq(&stapled.answer, &answer)
        {
            return stapled.certified.clone();
        }
        let mut certified = CertifiedKey::clone(&self.certified);
        certified.ocsp = Some(answer.der.clone());
        let certified = Arc::new(certified);
        self.stapled.store(Some(Arc::new(Stapled { answer, certified: certified.clone() })));
        certified
    }
}

impl Certificates {
    pub(super) fn new(mut shown: Vec<Shown>) -> Certificates {
        shown.sort_by_key(|shown| shown.certified.key.algorithm() == SignatureAlgorithm::RSA);
        Certificates { shown }
    }

    /// The certificates themselves, of which sessions are told apart by.
    pub(super) fn leaves(&self) -> impl Iterator<Item = &[u8]> {
        self.shown.iter().filter_map(|shown| shown.certified.cert.first()).map(|certificate| &certificate[..])
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let suits = |shown: &&Shown| {
            let key = &shown.certified.key;
            key.choose_scheme(hello.signature_schemes()).is_some()
                && hello.cipher_suites().iter().any(|suite| can_sign(*suite, key.algorithm()))
        };
        // Where none suits, the handshake fails for a reason that rustls names.
        self.shown.iter().find(suits).or(self.shown.first()).map(Shown::now)
    }
}

/// Whether a cipher suite goes with this kind of key. Those of TLS 1.3 go with all.
fn can_sign(suite: CipherSuite, algorithm: SignatureAlgorithm) -> bool {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS13_AES_256_GCM_SHA384
        | CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => true,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => algorithm == SignatureAlgorithm::RSA,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => algorithm != SignatureAlgorithm::RSA,
        _ => false,
    }
}
