//! What is known of a client's TLS connection, as the `$ssl_*` variables say it.

use super::names;
use super::sessions::SessionId;
use super::verify::Flaw;
use crate::io::TlsStream;
use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use culvert_engine::variable::Builtin;
use rustls::pki_types::CertificateDer;
use rustls::{CipherSuite, NamedGroup};
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use x509_parser::certificate::X509Certificate;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// What is known of a connection over TLS.
#[derive(Debug, Default)]
pub(crate) struct TlsFacts {
    /// The server's name, as the client sent it.
    pub(super) name: Option<Box<str>>,
    /// One of several servers has that name, so that the handshake was made with that server.
    pub(super) is_chosen: bool,
    pub(super) version: Option<&'static str>,
    pub(super) suite: Option<CipherSuite>,
    pub(super) group: Option<NamedGroup>,
    pub(super) alpn: Option<Box<[u8]>>,
    pub(super) is_resumed: bool,
    pub(super) session: Option<SessionId>,
    pub(super) offered_suites: Box<[CipherSuite]>,
    pub(super) offered_groups: Box<[NamedGroup]>,
    /// The client's own certificate.
    pub(super) certificate: Option<CertificateDer<'static>>,
    /// Whether it is good; `None` where none is asked for.
    pub(super) verdict: Option<Result<(), Flaw>>,
    /// What was read so far may be a replay: the handshake is not complete.
    pub(super) is_early: AtomicBool,
}

impl TlsFacts {
    /// What is known while the handshake is made.
    pub(crate) fn of_name(name: Option<&str>) -> TlsFacts {
        TlsFacts { name: name.map(Into::into), ..TlsFacts::default() }
    }

    /// Takes what both sides have agreed on.
    pub(super) fn take(&mut self, stream: &TlsStream) {
        let negotiated = stream.negotiated();
        self.version = negotiated.version.map(names::version);
        self.suite = negotiated.suite.map(|suite| suite.suite());
        self.group = negotiated.group;
        self.alpn = negotiated.alpn.map(Into::into);
        self.is_resumed = negotiated.is_resumed;
        self.certificate = negotiated.certificates.first().cloned();
        self.is_early.store(stream.is_handshaking(), Ordering::Relaxed);
    }

    /// The name that the client asked for in its handshake.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The same, where it chose the server.
    pub(crate) fn chosen_name(&self) -> Option<&str> {
        self.name().filter(|_| self.is_chosen)
    }

    /// Whether the client asked for HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.alpn.as_deref() == Some(b"h2")
    }

    /// What is wrong with the client's certificate, if anything is.
    pub(crate) fn flaw(&self) -> Option<Flaw> {
        self.verdict.and_then(Result::err)
    }

    /// Whether the client has shown a certificate.
    pub(crate) fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// Notes that the handshake is complete.
    pub(crate) fn complete(&self) {
        self.is_early.store(false, Ordering::Relaxed);
    }

    /// Appends the value of an `$ssl_*` variable. False where it has none.
    pub(crate) fn append(&self, variable: Builtin, out: &mut Vec<u8>) -> bool {
        let value = match variable {
            Builtin::SslAlpnProtocol => self.alpn.as_deref().map(<[u8]>::to_vec),
            Builtin::SslCipher => self.suite.map(|suite| names::suite(suite.into()).as_bytes().to_vec()),
            Builtin::SslCiphers => join(self.offered_suites.iter().map(|suite| names::suite((*suite).into()))),
            Builtin::SslCurve => self.group.map(|group| names::group(group).as_bytes().to_vec()),
            Builtin::SslCurves => join(self.offered_groups.iter().map(|group| names::group(*group))),
            Builtin::SslEarlyData => self.is_early.load(Ordering::Relaxed).then(|| b"1".to_vec()),
            Builtin::SslProtocol => self.version.map(|version| version.as_bytes().to_vec()),
            Builtin::SslServerName => self.name().map(|name| name.as_bytes().to_vec()),
            Builtin::SslSessionId => self.session.map(|id| hex(&id, false)),
            Builtin::SslSessionReused => Some(if self.is_resumed { b"r".to_vec() } else { b".".to_vec() }),
            Builtin::SslClientVerify => Some(self.verify_text()),
            _ => self.certificate.as_ref().and_then(|certificate| of_certificate(variable, certificate)),
        };
        value.filter(|value| !value.is_empty()).is_some_and(|value| {
            out.extend_from_slice(&value);
            true
        })
    }

    fn verify_text(&self) -> Vec<u8> {
        match (&self.certificate, self.verdict) {
            (None, _) => b"NONE".to_vec(),
            (Some(_), Some(Err(flaw))) => format!("FAILED:{}", flaw.text).into_bytes(),
            (Some(_), _) => b"SUCCESS".to_vec(),
        }
    }
}

fn join(names: impl Iterator<Item = std::borrow::Cow<'static, str>>) -> Option<Vec<u8>> {
    Some(names.collect::<Vec<_>>().join(":").into_bytes())
}

fn hex(bytes: &[u8], upper: bool) -> Vec<u8> {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = if upper { write!(text, "{byte:02X}") } else { write!(text, "{byte:02x}") };
    }
    text.into_bytes()
}

/// What the client's certificate says.
fn of_certificate(variable: Builtin, der: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let pem = || pem(der);
    match variable {
        Builtin::SslClientRawCert => return Some(pem().into_bytes()),
        Builtin::SslClientCert => return Some(pem().trim_end().replace('\n', "\n\t").into_bytes()),
        Builtin::SslClientEscapedCert => return Some(escape(pem().as_bytes())),
        Builtin::SslClientFingerprint => {
            return Some(hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der).as_ref(), false));
        }
        _ => {}
    }
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(match variable {
        Builtin::SslClientSDn => rfc2253(certificate.subject()),
        Builtin::SslClientIDn => rfc2253(certificate.issuer()),
        Builtin::SslClientSDnLegacy => one_line(certificate.subject()),
        Builtin::SslClientIDnLegacy => one_line(certificate.issuer()),
        Builtin::SslClientSerial => serial(&certificate),
        Builtin::SslClientVStart => time(certificate.validity().not_before.timestamp()),
        Builtin::SslClientVEnd => time(certificate.validity().not_after.timestamp()),
        Builtin::SslClientVRemain => remaining(certificate.validity().not_after.timestamp()),
        _ => return None,
    })
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default());
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.collect::<Vec<_>>().join("\n"))
}

/// As part of a URI (RFC 3986 section 2.3).
fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 3 / 2);
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

fn serial(certificate: &X509Certificate<'_>) -> Vec<u8> {
    let raw = certificate.raw_serial();
    let start = raw.iter().position(|&b| b != 0).unwrap_or(raw.len().saturating_sub(1));
    hex(&raw[start..], true)
}

/// As OpenSSL prints a time: `Jan  1 00:00:00 2026 GMT`.
fn time(seconds: i64) -> Vec<u8> {
    let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    time.format("%b %e %H:%M:%S %Y GMT").to_string().into_bytes()
}

/// Days until then.
fn remaining(seconds: i64) -> Vec<u8> {
    let now = chrono::Utc::now().timestamp();
    let days = (seconds - now).max(0) / (24 * 3600);
    days.to_string().into_bytes()
}

/// RFC 2253, as OpenSSL's `XN_FLAG_RFC2253` has it.
fn rfc2253(name: &X509Name<'_>) -> Vec<u8> {
    let parts: Vec<_> = name.iter().collect();
    let texts = parts.iter().rev().map(|part| {
        let values = part.iter().map(|attribute| format!("{}={}", short_name(attribute), escaped(attribute)));
        values.collect::<Vec<_>>().join("+")
    });
    texts.collect::<Vec<_>>().join(",").into_bytes()
}

/// `/C=US/O=Example`, as nginx wrote it before 1.11.6.
fn one_line(name: &X509Name<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for attribute in name.iter_attributes() {
        out.extend_from_slice(format!("/{}=", short_name(attribute)).as_bytes());
        for &byte in attribute.as_slice() {
            match byte {
                b' '..=b'~' => out.push(byte),
                _ => out.extend_from_slice(format!("\\x{byte:02X}").as_bytes()),
            }
        }
    }
    out
}

fn short_name(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let name = match oid.as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.13" => "description",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "2.5.4.41" => "name",
        "2.5.4.42" => "GN",
        "2.5.4.43" => "initials",
        "2.5.4.44" => "generationQualifier",
        "2.5.4.46" => "dnQualifier",
        "2.5.4.65" => "pseudonym",
        "2.5.4.97" => "organizationIdentifier",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        "1.3.6.1.4.1.311.60.2.1.1" => "jurisdictionL",
        "1.3.6.1.4.1.311.60.2.1.2" => "jurisdictionST",
        "1.3.6.1.4.1.311.60.2.1.3" => "jurisdictionC",
        _ => return oid,
    };
    name.to_owned()
}

/// A value as RFC 2253 section 2.4 escapes it; one of an unknown type as the bytes that it is.
fn escaped(attribute: &AttributeTypeAndValue<'_>) -> String {
    let Ok(text) = attribute.attr_value().as_string_utf8() else {
        return format!("#{}", String::from_utf8_lossy(&hex(attribute.as_slice(), true)));
    };
    let mut out = String::new();
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => out.extend(['\\', char::from(byte)]),
            b'#' | b' ' if at == 0 => out.extend(['\\', char::from(byte)]),
            b' ' if at == last => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => _ = write!(out, "\\{byte:02X}"),
        }
    }
    out
}

trait Utf8 {
    fn as_string_utf8(&self) -> Result<String, ()>;
}

impl Utf8 for x509_parser::der_parser::asn1_rs::Any<'_> {
    /// The text of any kind of string, in UTF-8.
    fn as_string_utf8(&self) -> Result<String, ()> {
        use x509_parser::der_parser::asn1_rs::Tag;
        match self.tag() {
            Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
                Ok(String::from_utf8_lossy(self.data).into_owned())
            }
            // In practice Latin-1.
            Tag::TeletexString => Ok(self.data.iter().map(|&byte| char::from(byte)).collect()),
            Tag::BmpString => {
                let units = self.data.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
            }
            Tag::UniversalString => {
                let points =
                    self.data.chunks_exact(4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
                Ok(points.map(|point| char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
            }
            _ => Err(()),
        }
    }
}
