//! Certificates for tests: an authority and what it signs, in files.

use crate::Place;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use std::fs;
use std::path::PathBuf;

/// An authority that signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
    /// Its own certificate.
    pub certificate: PathBuf,
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, and those behind it but for the authority that is to be trusted.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
    serial: u64,
}

impl Identity {
    /// The file of the certificate, as a word of a command line.
    pub fn certificate(&self) -> &str {
        self.certificate.to_str().expect("a test's paths are text")
    }

    /// The file of the key, as a word of a command line.
    pub fn key(&self) -> &str {
        self.key.to_str().expect("a test's paths are text")
    }
}

impl Authority {
    /// An authority that nobody stands behind; its files begin with `name`.
    pub fn new(place: &Place, name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(authority(name), key()).expect("rcgen signs");
        Self::of(place, name, issuer)
    }

    /// An authority that this one stands behind.
    pub fn intermediate(&self, place: &Place, name: &str) -> Self {
        let issuer = CertifiedIssuer::signed_by(authority(name), key(), &self.issuer).expect("rcgen signs");
        Self::of(place, name, issuer)
    }

    fn of(place: &Place, name: &str, issuer: CertifiedIssuer<'static, KeyPair>) -> Self {
        let certificate = place.path(&format!("{name}.pem"));
        fs::write(&certificate, issuer.pem()).expect("a test's place can be written to");
        Self { issuer, dir: place.dir().into(), certificate }
    }

    /// The file of its certificate, as a word of a command line.
    pub fn certificate(&self) -> &str {
        self.certificate.to_str().expect("a test's paths are text")
    }

    /// Signs a certificate for a server or a client of these names, the first of which is its common name too.
    pub fn signs(&self, names: &[&str]) -> Identity {
        self.signs_changed(names, |_| {})
    }

    /// The same for a certificate that differs from others.
    pub fn signs_changed(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let serial = fs::read_dir(&self.dir).expect("a test's place can be read").count() as u64 + 1;
        let mut params = leaf(names);
        params.serial_number = Some(SerialNumber::from(serial));
        change(&mut params);
        let key = key();
        let signed = params.signed_by(&key, &self.issuer).expect("rcgen signs");
        self.write(names[0], &signed.pem(), &key, serial)
    }

    /// An expired certificate.
    pub fn signs_expired(&self, names: &[&str]) -> Identity {
        self.signs_changed(names, |params| params.not_after = date_time_ymd(2020, 1, 1))
    }

    fn write(&self, name: &str, pem: &str, key: &KeyPair, serial: u64) -> Identity {
        let file = |kind: &str| self.dir.join(format!("{}-{serial}.{kind}", name.replace('*', "any")));
        let identity = Identity { certificate: file("crt"), key: file("key"), serial };
        fs::write(&identity.certificate, pem).expect("a test's place can be written to");
        fs::write(&identity.key, key.serialize_pem()).expect("a test's place can be written to");
        identity
    }

    /// A list of revoked certificates, in a file of this name.
    pub fn revokes(&self, name: &str, revoked: &[&Identity]) -> PathBuf {
        let (since, until) = (date_time_ymd(2024, 1, 1), date_time_ymd(4000, 1, 1));
        let entry = |identity: &&Identity| RevokedCertParams {
            serial_number: SerialNumber::from(identity.serial),
            revocation_time: since,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: since,
            next_update: until,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("rcgen signs");
        let file = self.dir.join(name);
        fs::write(&file, list.pem().expect("a list has a PEM form")).expect("a test's place can be written to");
        file
    }
}

/// A certificate that nobody but itself stands behind.
pub fn self_signed(place: &Place, names: &[&str]) -> Identity {
    let key = key();
    let signed = leaf(names).self_signed(&key).expect("rcgen signs");
    let file = |kind: &str| place.path(&format!("self-{}.{kind}", names[0]));
    let identity = Identity { certificate: file("crt"), key: file("key"), serial: 0 };
    fs::write(&identity.certificate, signed.pem()).expect("a test's place can be written to");
    fs::write(&identity.key, key.serialize_pem()).expect("a test's place can be written to");
    identity
}

/// ECDSA on P-256, as most certificates are.
fn key() -> KeyPair {
    KeyPair::generate().expect("there is entropy")
}

fn named(name: &str) -> DistinguishedName {
    let mut full = DistinguishedName::new();
    full.push(DnType::CommonName, name);
    full
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(names: &[&str]) -> CertificateParams {
    let names_owned: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names_owned).expect("a test's names are good");
    params.distinguished_name = named(names[0]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}
