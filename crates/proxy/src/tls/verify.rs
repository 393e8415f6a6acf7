//! Certificates of clients: asked for in the handshake, judged after it, so that a request can be answered with what is wrong.

use crate::observe::error_log::os_error;
use culvert_conf::config::{TlsSettings, VerifyClient};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::fmt;
use std::path::Path;
use webpki::anchor_from_trusted_cert;
use webpki::{CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, OwnedCertRevocationList};
use webpki::{RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy};

/// Asks clients for a certificate and has them prove that it is theirs. Whether it is good is not asked here.
#[derive(Debug)]
pub(super) struct Asks {
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Asks {
    pub(super) fn new(judge: &Judge, algorithms: WebPkiSupportedAlgorithms) -> Asks {
        Asks { hints: judge.hints.clone(), algorithms }
    }
}

impl ClientCertVerifier for Asks {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What is wrong with a certificate: OpenSSL's number and words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// OpenSSL's number of it.
    pub(crate) code: u8,
    /// OpenSSL's words for it.
    pub(crate) text: &'static str,
}

impl Flaw {
    const fn new(code: u8, text: &'static str) -> Flaw {
        Flaw { code, text }
    }

    /// Whether `ssl_verify_client optional_no_ca` forgives it: nobody who is trusted has signed the certificate.
    pub(crate) fn is_about_authorities(self) -> bool {
        matches!(self.code, 18..=21)
    }
}

const NO_ISSUER: Flaw = Flaw::new(20, "unable to get local issuer certificate");
const SELF_SIGNED: Flaw = Flaw::new(18, "self-signed certificate");
const NO_LIST: Flaw = Flaw::new(3, "unable to get certificate CRL");
const TOO_LONG: Flaw = Flaw::new(22, "certificate chain too long");
const EXPIRED: Flaw = Flaw::new(10, "certificate has expired");
const NOT_YET: Flaw = Flaw::new(9, "certificate is not yet valid");

/// Who judges certificates, of a server's clients or of the servers that are asked.
pub(crate) struct Judge {
    anchors: Vec<TrustAnchor<'static>>,
    trusted: Vec<CertificateDer<'static>>,
    hints: Vec<DistinguishedName>,
    lists: Vec<CertRevocationList<'static>>,
    intermediates_max: usize,
    /// What the certificates are to be good for.
    usage: KeyUsage,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Judge {
    fn empty(usage: KeyUsage, depth: u64, algorithms: WebPkiSupportedAlgorithms) -> Judge {
        let intermediates_max = usize::try_from(depth).unwrap_or(usize::MAX);
        let (anchors, trusted, hints, lists) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Judge { anchors, trusted, hints, lists, intermediates_max, usage, algorithms }
    }

    /// One of servers' certificates: what `proxy_ssl_trusted_certificate`, `_crl` and `_verify_depth` say.
    pub(crate) fn of_servers(
        trusted: Option<&Path>,
        crl: Option<&Path>,
        depth: u64,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Judge, String> {
        let mut judge = Judge::empty(KeyUsage::server_auth(), depth, algorithms);
        if let Some(file) = trusted {
            judge.trust(file)?;
        }
        if let Some(file) = crl {
            judge.revoke(file)?;
        }
        Ok(judge)
    }

    /// Reads the authorities and lists that `settings` name.
    pub(super) fn new(settings: &TlsSettings, algorithms: WebPkiSupportedAlgorithms) -> Result<Judge, String> {
        let mut judge = Judge::empty(KeyUsage::client_auth(), settings.verify_depth, algorithms);
        if let Some(file) = &settings.client_certificate {
            judge.trust(file)?;
            judge.hints = judge.anchors.iter().map(|anchor| DistinguishedName::in_sequence(&anchor.subject)).collect();
        }
        if let Some(file) = &settings.trusted_certificate {
            judge.trust(file)?;
        }
        if let Some(file) = &settings.crl {
            judge.revoke(file)?;
        }
        Ok(judge)
    }

    fn trust(&mut self, file: &Path) -> Result<(), String> {
        let failed = |why: String| format!("SSL_CTX_load_verify_locations(\"{}\") failed (SSL: {why})", file.display());
        let bytes = super::files::read(file).map_err(|error| failed(os_error(&error)))?;
        for certificate in super::files::certificates(&bytes).map_err(failed)? {
            let anchor = anchor_from_trusted_cert(&certificate).map_err(|error| failed(error.to_string()))?.to_owned();
            self.anchors.push(anchor);
            self.trusted.push(certificate);
        }
        Ok(())
    }

    fn revoke(&mut self, file: &Path) -> Result<(), String> {
        let failed = |why: String| format!("X509_LOOKUP_load_file(\"{}\") failed (SSL: {why})", file.display());
        let bytes = super::files::read(file).map_err(|error| failed(os_error(&error)))?;
        for list in super::files::revocation_lists(&bytes).map_err(failed)? {
            let list = OwnedCertRevocationList::from_der(&list).map_err(|error| failed(error.to_string()))?;
            self.lists.push(CertRevocationList::Owned(list));
        }
        Ok(())
    }

    /// Whether a chain, the other side's own certificate first, leads to an authority that is trusted.
    pub(crate) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<(), Flaw> {
        let Some((own, others)) = chain.split_first() else { return Ok(()) };
        if self.trusted.iter().any(|trusted| trusted == own) {
            // A self-signed certificate that is trusted itself.
            return self.judge_validity(own);
        }
        let certificate = EndEntityCert::try_from(own).map_err(|error| flaw(&error))?;
        let lists: Vec<_> = self.lists.iter().collect();
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let path = certificate.verify_for_usage(
            self.algorithms.all,
            &self.anchors,
            others,
            UnixTime::now(),
            self.usage,
            revocation,
            None,
        );
        match path {
            Ok(path) if path.intermediate_certificates().count() > self.intermediates_max => Err(TOO_LONG),
            Ok(_) => Ok(()),
            Err(webpki::Error::UnknownIssuer) if is_self_signed(own) => Err(SELF_SIGNED),
            Err(error) => Err(flaw(&error)),
        }
    }

    fn judge_validity(&self, certificate: &CertificateDer<'_>) -> Result<(), Flaw> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| NO_ISSUER)?;
        let now = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
        match parsed.validity() {
            validity if now > validity.not_after.timestamp() => Err(EXPIRED),
            validity if now < validity.not_before.timestamp() => Err(NOT_YET),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("trusted", &self.trusted.len()).finish_non_exhaustive()
    }
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    x509_parser::parse_x509_certificate(certificate).is_ok_and(|(_, parsed)| parsed.subject() == parsed.issuer())
}

fn flaw(error: &webpki::Error) -> Flaw {
    use webpki::Error;
    match error {
        Error::UnknownIssuer => NO_ISSUER,
        Error::CertExpired { .. } => EXPIRED,
        Error::CertNotValidYet { .. } => NOT_YET,
        Error::CertRevoked => Flaw::new(23, "certificate revoked"),
        Error::UnknownRevocationStatus => NO_LIST,
        Error::CrlExpired { .. } => Flaw::new(12, "CRL has expired"),
        Error::CaUsedAsEndEntity | Error::RequiredEkuNotFoundContext(_) => {
            Flaw::new(26, "unsuitable certificate purpose")
        }
        Error::EndEntityUsedAsCa => Flaw::new(79, "invalid CA certificate"),
        Error::PathLenConstraintViolated => Flaw::new(25, "path length constraint exceeded"),
        Error::MaximumPathDepthExceeded => TOO_LONG,
        Error::NameConstraintViolation => Flaw::new(47, "permitted subtree violation"),
        Error::InvalidSignatureForPublicKey => Flaw::new(7, "certificate signature failure"),
        Error::UnsupportedCriticalExtension => Flaw::new(34, "unhandled critical extension"),
        _ => Flaw::new(1, "unspecified certificate verification error"),
    }
}

/// How a server treats the certificates of its clients.
pub(super) fn asks(settings: &TlsSettings) -> bool {
    settings.verify_client != VerifyClient::Off
}
