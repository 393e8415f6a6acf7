//! Certificates as an attacker would show them.

use super::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

type Signer = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2096, 1, 1));
    params
}

fn authority(change: impl FnOnce(&mut CertificateParams)) -> Signer {
    let mut params = params("authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    Signer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
}

fn below(signer: &Signer, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Signer {
    let mut params = params(name);
    change(&mut params);
    Signer::signed_by(params, KeyPair::generate().expect("a key"), signer).expect("a certificate")
}

fn is_authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

/// What a judge of clients who trusts these says of a chain.
fn judged(trusted: &[&Signer], chain: &[&Signer]) -> Result<(), &'static str> {
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let mut judge = Judge::empty(KeyUsage::client_auth(), 3, algorithms);
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("trusted");
    std::fs::write(&file, trusted.iter().map(|one| one.pem()).collect::<String>()).expect("a file");
    judge.trust(&file).expect("certificates");
    let chain: Vec<_> = chain.iter().map(|one| one.der().clone()).collect();
    judge.judge(&chain).map_err(|flaw| flaw.text)
}

#[test]
fn who_is_signed_by_a_trusted_authority_is_good() {
    let root = authority(|_| {});
    let between = below(&root, "between", is_authority);
    let client = below(&between, "client", |_| {});
    assert_eq!(judged(&[&root], &[&client, &between]), Ok(()));
    assert_eq!(judged(&[&between], &[&client]), Ok(()), "an authority need not have signed itself");
    assert_eq!(judged(&[&authority(|_| {})], &[&client, &between]), Err("certificate signature failure"));
}

#[test]
fn an_authority_that_has_expired_vouches_for_nobody() {
    let expired = authority(|params| params.not_after = date_time_ymd(2021, 1, 1));
    let client = below(&expired, "client", |_| {});
    assert_eq!(judged(&[&expired], &[&client]), Err("certificate has expired"));
}

#[test]
fn a_certificate_that_is_trusted_for_itself_can_sign_no_others() {
    let pinned = authority(|params| params.is_ca = IsCa::ExplicitNoCa);
    assert_eq!(judged(&[&pinned], &[&pinned]), Ok(()));
    let forged = below(&pinned, "forged", |_| {});
    assert!(judged(&[&pinned], &[&forged]).is_err());
    let silent = authority(|params| params.is_ca = IsCa::NoCa);
    let forged = below(&silent, "forged", |_| {});
    assert!(judged(&[&silent], &[&forged]).is_err());
    let encrypts = authority(|params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let forged = below(&encrypts, "forged", |_| {});
    assert!(judged(&[&encrypts], &[&forged]).is_err());
}

#[test]
fn a_trusted_certificate_is_good_for_its_time_and_purpose_alone() {
    let expired = authority(|params| params.not_after = date_time_ymd(2021, 1, 1));
    assert_eq!(judged(&[&expired], &[&expired]), Err("certificate has expired"));
    let server = authority(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert_eq!(judged(&[&server], &[&server]), Err("unsuitable certificate purpose"));
    let signs = authority(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]);
    assert_eq!(judged(&[&signs], &[&signs]), Err("unsuitable certificate purpose"));
    let root = authority(|_| {});
    let leaf = below(&root, "leaf", |params| params.not_after = date_time_ymd(2021, 1, 1));
    assert_eq!(judged(&[&leaf], &[&leaf]), Err("certificate has expired"));
    assert_eq!(judged(&[&root, &leaf], &[&leaf]), Err("certificate has expired"));
    let good = below(&root, "good", |_| {});
    assert_eq!(judged(&[&good], &[&good]), Ok(()));
}

#[test]
fn an_authority_for_servers_vouches_for_no_clients() {
    let servers = authority(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let client = below(&servers, "client", |_| {});
    assert!(judged(&[&servers], &[&client]).is_err());
}

#[test]
fn the_length_that_an_authority_allows_holds_when_it_is_trusted() {
    let root = authority(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let between = below(&root, "between", is_authority);
    let client = below(&between, "client", |_| {});
    assert_eq!(judged(&[&root], &[&client, &between]), Err("path length constraint exceeded"));
    assert_eq!(judged(&[&root], &[&below(&root, "client", |_| {})]), Ok(()));
}

#[test]
fn a_list_that_revokes_a_trusted_certificate_is_heard() {
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let root = authority(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign]);
    let client = below(&root, "client", |params| params.serial_number = Some(7_u64.into()));
    let list = rcgen::CertificateRevocationListParams {
        this_update: date_time_ymd(2021, 1, 1),
        next_update: date_time_ymd(2096, 1, 1),
        crl_number: 1_u64.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: 7_u64.into(),
            revocation_time: date_time_ymd(2021, 1, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let issuer: &Issuer<'_, KeyPair> = &root;
    let place = tempfile::tempdir().expect("a directory");
    let (trusted, revoked) = (place.path().join("trusted"), place.path().join("revoked"));
    std::fs::write(&revoked, list.signed_by(issuer).expect("a list").pem().expect("PEM")).expect("a file");
    let says = |text: String| {
        std::fs::write(&trusted, text).expect("a file");
        let judge = Judge::of_servers(Some(&trusted), Some(&revoked), 3, algorithms).expect("files");
        let judge = Judge { usage: KeyUsage::client_auth(), ..judge };
        judge.judge(&[client.der().clone()]).map_err(|flaw| flaw.text)
    };
    assert_eq!(says(root.pem() + &client.pem()), Err("certificate revoked"));
    assert_eq!(says(client.pem()), Err("unable to get certificate CRL"));
}
