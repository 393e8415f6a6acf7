//! Certificates of clients: asked for in the handshake, judged after it, so that a request can be answered with what is wrong.

use crate::observe::error_log::os_error;
use culvert_conf::config::{TlsSettings, VerifyClient};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::fmt;
use std::ops::RangeInclusive;
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

const UNSUITABLE: Flaw = Flaw::new(26, "unsuitable certificate purpose");

/// Who judges certificates, of a server's clients or of the servers that are asked.
///
/// Any certificate in the files is trusted for itself, and one that is an authority's for what it has signed, whether it has
/// signed itself or not (as OpenSSL has it with X509_V_FLAG_PARTIAL_CHAIN). Being there excuses from nothing else.
pub(crate) struct Judge {
    /// Those of authorities, whose signatures count.
    anchors: Vec<TrustAnchor<'static>>,
    trusted: Vec<Trusted>,
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
            judge.hints =
                judge.trusted.iter().map(|trusted| DistinguishedName::in_sequence(&trusted.anchor.subject)).collect();
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
            let trusted = Trusted::new(certificate, anchor).ok_or_else(|| failed("a bad certificate".into()))?;
            if trusted.may_sign(self.usage) {
                self.anchors.push(trusted.anchor.clone());
            }
            self.trusted.push(trusted);
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
        let itself = self.trusted.iter().find(|trusted| trusted.der == *own);
        match (path, itself) {
            (Ok(path), _) => self.judge_path(path.intermediate_certificates().count(), path.anchor()),
            // Most that sign themselves say that they are authorities, too.
            (Err(webpki::Error::UnknownIssuer | webpki::Error::CaUsedAsEndEntity), Some(trusted)) => {
                self.judge_itself(trusted)
            }
            (Err(webpki::Error::UnknownIssuer), None) if is_self_signed(own) => Err(SELF_SIGNED),
            (Err(error), _) => Err(flaw(&error)),
        }
    }

    /// What is not asked of an anchor on the way to it: its own time and length.
    fn judge_path(&self, intermediates: usize, anchor: &TrustAnchor<'_>) -> Result<(), Flaw> {
        if intermediates > self.intermediates_max {
            return Err(TOO_LONG);
        }
        let is_it = |trusted: &&Trusted| {
            trusted.anchor.subject == anchor.subject
                && trusted.anchor.subject_public_key_info == anchor.subject_public_key_info
        };
        // An authority may be there twice, with its old and its new certificate: one that is good is enough.
        let mut judged = Err(NO_ISSUER);
        for trusted in self.trusted.iter().filter(is_it) {
            judged = match trusted.path_length_max.is_some_and(|most| intermediates > most) {
                true => Err(Flaw::new(25, "path length constraint exceeded")),
                false => trusted.judge_validity(),
            };
            if judged.is_ok() {
                break;
            }
        }
        judged
    }

    /// A certificate that is trusted itself, and that nobody who is trusted has signed.
    fn judge_itself(&self, trusted: &Trusted) -> Result<(), Flaw> {
        trusted.judge_validity()?;
        if !trusted.is_for(self.usage) {
            return Err(UNSUITABLE);
        }
        // Where lists are asked for, each certificate needs one, of an authority that is not here.
        if self.lists.is_empty() { Ok(()) } else { Err(NO_LIST) }
    }
}

/// A certificate of a file that is trusted.
struct Trusted {
    der: CertificateDer<'static>,
    anchor: TrustAnchor<'static>,
    /// From when until when it is valid, in seconds of the epoch.
    validity: RangeInclusive<i64>,
    /// Whether it may sign others (RFC 5280 sections 4.2.1.3 and 4.2.1.9).
    is_authority: bool,
    path_length_max: Option<usize>,
    /// Whether its key may make the signatures of a handshake.
    may_shake: bool,
    /// What its extended key usage allows: clients, servers; all where it has none.
    purposes: Option<(bool, bool)>,
}

impl Trusted {
    fn new(der: CertificateDer<'static>, anchor: TrustAnchor<'static>) -> Option<Trusted> {
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).ok()?;
        let constraints = parsed.basic_constraints().ok()?.map(|found| found.value);
        let usage = parsed.key_usage().ok()?.map(|found| found.value);
        let purposes = parsed.extended_key_usage().ok()?.map(|found| found.value);
        // One of version 1 can't say what it is; of those OpenSSL believes the ones that sign themselves.
        let is_old_root = parsed.version().0 == 0 && parsed.subject() == parsed.issuer();
        let says_so = match constraints {
            Some(constraints) => constraints.ca,
            None => is_old_root || usage.is_some_and(|usage| usage.key_cert_sign()),
        };
        let is_authority = says_so && usage.is_none_or(|usage| usage.key_cert_sign());
        let path_length_max = constraints.and_then(|found| found.path_len_constraint).map(|most| most as usize);
        let may_shake =
            usage.is_none_or(|usage| usage.digital_signature() || usage.key_agreement() || usage.key_encipherment());
        let purposes = purposes.map(|purposes| (purposes.client_auth, purposes.server_auth));
        let validity = parsed.validity().not_before.timestamp()..=parsed.validity().not_after.timestamp();
        Some(Trusted { anchor, validity, is_authority, path_length_max, may_shake, purposes, der })
    }

    fn has_purpose(&self, usage: KeyUsage) -> bool {
        let is_client = usage == KeyUsage::client_auth();
        self.purposes.is_none_or(|(clients, servers)| if is_client { clients } else { servers })
    }

    fn may_sign(&self, usage: KeyUsage) -> bool {
        self.is_authority && self.has_purpose(usage)
    }

    fn is_for(&self, usage: KeyUsage) -> bool {
        self.may_shake && self.has_purpose(usage)
    }

    fn judge_validity(&self) -> Result<(), Flaw> {
        match i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX) {
            now if now > *self.validity.end() => Err(EXPIRED),
            now if now < *self.validity.start() => Err(NOT_YET),
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
        Error::CaUsedAsEndEntity | Error::RequiredEkuNotFoundContext(_) => UNSUITABLE,
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

#[cfg(test)]
mod tests;
