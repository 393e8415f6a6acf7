//! Authorities and certificates that a test makes for itself, as files in its place.

use crate::Place;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use std::path::PathBuf;

/// An authority: `NAME.crt` in the place is its certificate.
#[derive(Debug)]
pub struct Authority {
    name: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// How a certificate is to differ from a good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing is wrong with it.
    Good,
    /// It was valid once.
    Expired,
    /// Its key is an RSA key.
    Rsa,
}

impl Authority {
    /// Makes one that has signed itself.
    pub fn new(place: &Place, name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        place.write(&format!("{name}.crt"), issuer.pem());
        Self { name: name.into(), issuer }
    }

    /// Makes one that `self` has signed.
    pub fn below(&self, place: &Place, name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::signed_by(params, key, &self.issuer).expect("a certificate");
        place.write(&format!("{name}.crt"), issuer.pem());
        Self { name: name.into(), issuer }
    }

    /// Its key, in PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Makes `NAME.crt` and `NAME.key` for a server with these host names.
    pub fn server(&self, place: &Place, name: &str, hosts: &[&str], kind: Kind) -> PathBuf {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("host names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(place, name, params, kind)
    }

    /// Makes `NAME.crt` and `NAME.key` for a server whose certificate names an OCSP responder by its URL.
    pub fn server_with_responder(&self, place: &Place, name: &str, hosts: &[&str], url: &str) -> PathBuf {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("host names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.custom_extensions.push(authority_information(url));
        self.issue(place, name, params, Kind::Good)
    }

    /// Makes `NAME.crt` and `NAME.key` for an OCSP responder, which only `named` gives the right to answer.
    pub fn responder(&self, place: &Place, name: &str, named: bool) -> PathBuf {
        let mut params = params(name);
        params.extended_key_usages =
            vec![if named { ExtendedKeyUsagePurpose::OcspSigning } else { ExtendedKeyUsagePurpose::ServerAuth }];
        self.issue(place, name, params, Kind::Good)
    }

    /// Makes `NAME.crt` and `NAME.key` for a client, with this serial number.
    pub fn client(&self, place: &Place, name: &str, serial: u64, kind: Kind) -> PathBuf {
        let mut params = params(name);
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(place, name, params, kind)
    }

    fn issue(&self, place: &Place, name: &str, mut params: CertificateParams, kind: Kind) -> PathBuf {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(if kind == Kind::Expired { 2021 } else { 2096 }, 1, 1);
        let key = match kind {
            Kind::Rsa => KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256),
            _ => KeyPair::generate(),
        };
        let key = key.expect("a key");
        let issuer: &Issuer<'_, KeyPair> = &self.issuer;
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        place.write(&format!("{name}.key"), key.serialize_pem());
        place.write(&format!("{name}.crt"), certificate.pem())
    }

    /// Makes `NAME.crl`, which revokes the certificates with these serial numbers.
    pub fn revoke(&self, place: &Place, serials: &[u64]) -> PathBuf {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2021, 1, 1),
            next_update: date_time_ymd(2096, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let issuer: &Issuer<'_, KeyPair> = &self.issuer;
        let list = list.signed_by(issuer).expect("a list");
        place.write(&format!("{}.crl", self.name), list.pem().expect("PEM"))
    }
}

/// The extension that names a responder (RFC 5280 section 4.2.2.1). The URL is short.
fn authority_information(url: &str) -> CustomExtension {
    let element = |tag: u8, contents: &[u8]| {
        let length = u8::try_from(contents.len()).ok().filter(|length| *length < 128).expect("a short URL");
        [&[tag, length][..], contents].concat()
    };
    const OCSP: [u8; 10] = [6, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    let description = element(0x30, &[&OCSP[..], &element(0x86, url.as_bytes())].concat());
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], element(0x30, &description))
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Culvert, tests");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
