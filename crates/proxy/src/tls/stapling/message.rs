//! The question about a certificate, and whether an answer is good (RFC 6960).

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use std::time::{Duration, SystemTime};
use webpki::EndEntityCert;
use x509_cert::der::asn1::{AnyRef, Null, ObjectIdentifier, OctetString};
use x509_cert::der::{self, Decode, Encode, Reader, SliceReader};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    CertId, CertStatus, OcspGeneralizedTime, OcspRequest, OcspResponse, OcspResponseStatus, Request, ResponseData,
    SingleResponse, TbsRequest,
};
use x509_parser::prelude::X509Certificate;

/// A certificate and its issuer, as a responder knows them.
pub(super) struct Subject {
    id: CertId,
    issuer: Vec<u8>,
}

/// `id-sha1`, which every responder has to know (RFC 5019 section 2.1.1).
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
/// `id-pkix-ocsp-basic`.
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
/// How far the clocks of responder and gateway may be apart: what nginx grants.
const SKEW: Duration = Duration::from_secs(300);

impl Subject {
    /// `None` where the certificate's number is none that OCSP could name.
    pub(super) fn new(certificate: &X509Certificate<'_>, issuer: &[u8]) -> Option<Subject> {
        let (_, parsed) = x509_parser::parse_x509_certificate(issuer).ok()?;
        let hash = |bytes: &[u8]| OctetString::new(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()).ok();
        let raw = certificate.raw_serial();
        let number = [&[2, u8::try_from(raw.len()).ok().filter(|length| *length < 128)?][..], raw].concat();
        let id = CertId {
            hash_algorithm: AlgorithmIdentifierOwned { oid: SHA1, parameters: Some(Null.into()) },
            issuer_name_hash: hash(certificate.issuer().as_raw())?,
            issuer_key_hash: hash(&parsed.public_key().subject_public_key.data)?,
            serial_number: SerialNumber::from_der(&number).ok()?,
        };
        Some(Subject { id, issuer: issuer.to_vec() })
    }

    /// The question, in DER. It has no nonce, so that responders can answer with what they have signed already.
    pub(super) fn question(&self) -> Result<Vec<u8>, String> {
        let request = Request { req_cert: self.id.clone(), single_request_extensions: None };
        let tbs_request = TbsRequest { request_list: vec![request], ..TbsRequest::default() };
        let question = OcspRequest { tbs_request, optional_signature: None };
        question.to_der().map_err(|error| format!("i2d_OCSP_REQUEST() failed (SSL: {error})"))
    }

    /// Until when an answer holds, if it is good; otherwise what the log says of it. With `verify` whoever signed it has to have
    /// the right to.
    pub(super) fn check(
        &self,
        answer: &[u8],
        now: SystemTime,
        verify: bool,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Option<SystemTime>, String> {
        let basic = basic_response(answer)?;
        let parts =
            BasicParts::split(&basic).map_err(|error| format!("OCSP_response_get1_basic() failed (SSL: {error})"))?;
        if !parts.signers(&self.issuer, verify, now, algorithms) {
            return Err(
                "OCSP_basic_verify() failed (SSL: the signature is not the issuer's, nor of whom it has named)".into(),
            );
        }
        let data = ResponseData::from_der(parts.signed)
            .map_err(|error| format!("OCSP_response_get1_basic() failed (SSL: {error})"))?;
        let found = data.responses.iter().find(|single| is_same(&single.cert_id, &self.id));
        let single = found.ok_or("certificate status not found in the OCSP response")?;
        match single.cert_status {
            CertStatus::Good(_) => holds_until(single, now),
            CertStatus::Revoked(_) => Err("certificate status \"revoked\" in the OCSP response".into()),
            CertStatus::Unknown(_) => Err("certificate status \"unknown\" in the OCSP response".into()),
        }
    }
}

/// Whether a file holds a responder's answer, of whatever kind.
pub(in crate::tls) fn is_response(der: &[u8]) -> Result<(), String> {
    OcspResponse::from_der(der).map(|_| ()).map_err(|error| error.to_string())
}

/// What a successful answer holds.
fn basic_response(answer: &[u8]) -> Result<Vec<u8>, String> {
    let response =
        OcspResponse::from_der(answer).map_err(|error| format!("d2i_OCSP_RESPONSE() failed (SSL: {error})"))?;
    let refused = match response.response_status {
        OcspResponseStatus::Successful => None,
        OcspResponseStatus::MalformedRequest => Some("malformedrequest"),
        OcspResponseStatus::InternalError => Some("internalerror"),
        OcspResponseStatus::TryLater => Some("trylater"),
        OcspResponseStatus::SigRequired => Some("sigrequired"),
        OcspResponseStatus::Unauthorized => Some("unauthorized"),
    };
    if let Some(text) = refused {
        return Err(format!("OCSP response not successful ({}: {text})", response.response_status as u32));
    }
    let bytes = response.response_bytes.filter(|bytes| bytes.response_type == BASIC);
    let bytes = bytes.ok_or("OCSP_response_get1_basic() failed (SSL: not a basic response)")?;
    Ok(bytes.response.into_bytes())
}

/// A basic response, byte for byte as it was signed.
struct BasicParts<'a> {
    signed: &'a [u8],
    /// The contents of the `AlgorithmIdentifier`.
    algorithm: &'a [u8],
    signature: &'a [u8],
    certificates: Vec<&'a [u8]>,
}

/// No responder sends more certificates than it needs: its own, and some of those above it.
const CERTIFICATES_MAX: usize = 8;

impl<'a> BasicParts<'a> {
    fn split(basic: &'a [u8]) -> der::Result<BasicParts<'a>> {
        let parts = elements(basic)?;
        let [signed, algorithm, signature, rest @ ..] = &parts[..] else {
            return Err(der::Tag::Sequence.value_error());
        };
        // The first byte of a BIT STRING says how many bits of its last byte are unused: none.
        let signature = AnyRef::from_der(signature)?.value().strip_prefix(&[0]).unwrap_or_default();
        let mut certificates = Vec::new();
        for tagged in rest.iter().take(1) {
            let list = elements(tagged)?;
            certificates = list.first().map(|list| elements(list)).transpose()?.unwrap_or_default();
        }
        certificates.truncate(CERTIFICATES_MAX);
        Ok(BasicParts { signed, algorithm: AnyRef::from_der(algorithm)?.value(), signature, certificates })
    }

    /// Whether the issuer has signed it, or a certificate in it that may.
    fn signers(&self, issuer: &[u8], verify: bool, now: SystemTime, algorithms: WebPkiSupportedAlgorithms) -> bool {
        let signed_by = |signer: &[u8]| is_signed(signer, self.algorithm, self.signed, self.signature, algorithms);
        let may = |signer: &[u8]| !verify || is_named(signer, issuer, now, algorithms);
        signed_by(issuer) || self.certificates.iter().any(|signer| signed_by(signer) && may(signer))
    }
}

/// The elements of a sequence, or of a tag around one, in DER.
fn elements(der: &[u8]) -> der::Result<Vec<&[u8]>> {
    let mut reader = SliceReader::new(AnyRef::from_der(der)?.value())?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(reader.tlv_bytes()?);
    }
    Ok(found)
}

/// Whether the key of `signer` has made the signature. `algorithm` is the contents of an `AlgorithmIdentifier`.
fn is_signed(
    signer: &[u8],
    algorithm: &[u8],
    message: &[u8],
    signature: &[u8],
    algorithms: WebPkiSupportedAlgorithms,
) -> bool {
    let signer = CertificateDer::from(signer);
    let Ok(signer) = EndEntityCert::try_from(&signer) else { return false };
    let mut suitable = algorithms.all.iter().filter(|known| known.signature_alg_id().as_ref() == algorithm);
    suitable.any(|known| signer.verify_signature(*known, message, signature).is_ok())
}

/// Whether `issuer` is who has signed the certificate.
pub(super) fn has_issued(
    issuer: &[u8],
    certificate: &X509Certificate<'_>,
    algorithms: WebPkiSupportedAlgorithms,
) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(issuer) else { return false };
    let Ok(algorithm) = algorithm_of(certificate) else { return false };
    let tbs = certificate.tbs_certificate.as_ref();
    parsed.subject().as_raw() == certificate.issuer().as_raw()
        && is_signed(issuer, &algorithm, tbs, &certificate.signature_value.data, algorithms)
}

/// The contents of a certificate's `AlgorithmIdentifier`, anew.
fn algorithm_of(certificate: &X509Certificate<'_>) -> der::Result<Vec<u8>> {
    let algorithm = &certificate.signature_algorithm;
    let mut contents = ObjectIdentifier::from_bytes(algorithm.algorithm.as_bytes())?.to_der()?;
    if let Some(parameters) = &algorithm.parameters {
        let length = u8::try_from(parameters.data.len()).ok().filter(|length| *length < 128);
        let length = length.ok_or_else(|| der::Tag::Sequence.length_error())?;
        let class = if parameters.header.constructed() { 0x20 } else { 0 };
        let tag = u8::try_from(parameters.tag().0).map_err(|_| der::Tag::Sequence.value_error())?;
        contents.extend([tag | class, length]);
        contents.extend_from_slice(parameters.data);
    }
    Ok(contents)
}

/// Whether the issuer has made `signer` for OCSP (RFC 6960 section 4.2.2.2), and it has not expired.
fn is_named(signer: &[u8], issuer: &[u8], now: SystemTime, algorithms: WebPkiSupportedAlgorithms) -> bool {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(signer) else { return false };
    let purposes = certificate.extended_key_usage().ok().flatten();
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = i64::try_from(seconds).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    purposes.is_some_and(|purposes| purposes.value.ocsp_signing)
        && (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&time)
        && has_issued(issuer, &certificate, algorithms)
}

fn is_same(one: &CertId, other: &CertId) -> bool {
    one.hash_algorithm.oid == other.hash_algorithm.oid
        && one.issuer_name_hash == other.issuer_name_hash
        && one.issuer_key_hash == other.issuer_key_hash
        && one.serial_number == other.serial_number
}

fn holds_until(single: &SingleResponse, now: SystemTime) -> Result<Option<SystemTime>, String> {
    let failed = |why: &str| Err(format!("OCSP_check_validity() failed (SSL: {why})"));
    let time = |time: OcspGeneralizedTime| SystemTime::UNIX_EPOCH + time.0.to_unix_duration();
    let (since, until) = (time(single.this_update), single.next_update.map(time));
    if since.checked_sub(SKEW).is_none_or(|since| since > now) {
        return failed("status not yet valid");
    }
    match until {
        Some(until) if until < since => failed("nextupdate before thisupdate"),
        Some(until) if until.checked_add(SKEW).is_some_and(|until| until < now) => failed("status expired"),
        until => Ok(until),
    }
}
