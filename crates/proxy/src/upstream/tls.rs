//! TLS towards servers: `proxy_pass https://` and everything that begins with `proxy_ssl_`.

use crate::io::{TlsStream, Transport};
use crate::tls::{Judge, Text, certified, passwords};
use culvert_conf::config::{ProxyTls, TlsCipher};
use culvert_engine::template::Template;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, DnsName, IpAddr, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, OtherError, ProtocolVersion, SignatureScheme,
};
use std::collections::HashMap;
use std::fmt::{self, Display};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use webpki::EndEntityCert;

/// How many certificates whose names have variables are kept; more begin anew.
const CERTIFICATES_MAX: usize = 64;

/// How many sessions are kept for another handshake, per set of `proxy_ssl_` directives.
const SESSIONS_MAX: usize = 1024;

/// What the `proxy_ssl_` directives of a location come to. Shared by all workers.
pub(crate) struct ClientTls {
    /// Tells connections that were made otherwise apart.
    id: u64,
    settings: Arc<ProxyTls>,
    passwords: Vec<Vec<u8>>,
    /// Without a certificate of the gateway's, or with the one that has no variables.
    base: ClientConfig,
    configs: Mutex<HashMap<Key, Arc<ClientConfig>>>,
}

/// What distinguishes the configurations of one [`ClientTls`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    offer: Offer,
    certificate: Option<Certificate>,
}

/// The rendered names of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Certificate {
    pub(crate) certificate: Box<[u8]>,
    pub(crate) key: Box<[u8]>,
}

/// Which protocols a server is offered by ALPN (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Offer {
    /// None is spoken of, as nginx does for HTTP/1.
    Nothing,
    /// `http/1.1`, where a server has been asked for HTTP/2 otherwise.
    Http1,
    /// `h2`.
    Http2,
    /// Both.
    Either,
}

impl Offer {
    fn protocols(self) -> Vec<Vec<u8>> {
        match self {
            Offer::Nothing => Vec::new(),
            Offer::Http1 => vec![b"http/1.1".to_vec()],
            Offer::Http2 => vec![b"h2".to_vec()],
            Offer::Either => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        }
    }
}

/// As whom and to whom a connection is made.
#[derive(Clone)]
pub(crate) struct Secure {
    tls: Arc<ClientTls>,
    name: Box<str>,
    /// Where the name of the gateway's certificate has variables.
    certificate: Option<Certificate>,
}

impl PartialEq for Secure {
    fn eq(&self, other: &Secure) -> bool {
        self.tls.id == other.tls.id && self.name == other.name && self.certificate == other.certificate
    }
}

impl Eq for Secure {}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secure").field("tls", &self.tls.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Secure {
    /// A connection to a server that is `name`, a port behind which is of no account.
    pub(crate) fn new(tls: Arc<ClientTls>, name: &str, certificate: Option<Certificate>) -> Secure {
        Secure { tls, name: without_port(name).into(), certificate }
    }

    /// Makes the handshake. Returns the stream, and whether the server has chosen a protocol and HTTP/2.
    pub(super) async fn handshake(&self, transport: Transport, offer: Offer) -> io::Result<(Transport, bool)> {
        let config = self.tls.config(offer, self.certificate.as_ref()).map_err(|why| io::Error::other(Trouble(why)))?;
        let socket = match transport {
            Transport::Socket(socket) => socket,
            other => unreachable!("{other:?} is what nobody connects to a server by"),
        };
        let mut stream = TlsStream::connect(socket, config, self.server_name()?)?;
        stream.handshake().await?;
        let chosen = stream.negotiated().alpn.map(<[u8]>::to_vec);
        let is_http2 = match offer {
            Offer::Nothing | Offer::Http1 => false,
            // A server that knows nothing of ALPN is taken at the configuration's word.
            Offer::Http2 => chosen.is_none_or(|protocol| protocol == b"h2"),
            Offer::Either => chosen.is_some_and(|protocol| protocol == b"h2"),
        };
        Ok((Transport::Tls(Box::new(stream)), is_http2))
    }

    /// For a health check, which no request gives variables a value.
    pub(crate) fn of_check(tls: Arc<ClientTls>, name: &[u8]) -> Secure {
        let mut rendered = Vec::new();
        match &tls.settings.name {
            Some(name) => name.render(&mut rendered, |_, _| {}),
            None => rendered.extend_from_slice(name),
        }
        Secure::new(tls, &String::from_utf8_lossy(&rendered), None)
    }

    /// What rustls needs to make a connection over another kind of stream.
    pub(super) fn parts(&self) -> io::Result<(Arc<ClientConfig>, ServerName<'static>)> {
        let config = self.tls.config(Offer::Nothing, self.certificate.as_ref());
        Ok((config.map_err(|why| io::Error::other(Trouble(why)))?, self.server_name()?))
    }

    fn server_name(&self) -> io::Result<ServerName<'static>> {
        let name = self.name.strip_suffix('.').unwrap_or(&self.name);
        if let Ok(address) = IpAddr::try_from(name) {
            return Ok(ServerName::IpAddress(address));
        }
        match DnsName::try_from(name.to_owned()) {
            Ok(name) => Ok(ServerName::DnsName(name)),
            Err(_) if self.tls.settings.verify => Err(io::Error::other(Trouble(mismatch(name)))),
            // Nobody asks who the server is, and what is no host name is no SNI: an address says as little.
            Err(_) => Ok(ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)))),
        }
    }
}

fn without_port(name: &str) -> &str {
    if let Some(rest) = name.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match name.split_once(':') {
        Some((host, rest)) if !rest.contains(':') => host,
        _ => name,
    }
}

fn mismatch(name: &str) -> String {
    format!("upstream SSL certificate does not match \"{name}\"")
}

impl ClientTls {
    /// Reads the files that `settings` name.
    ///
    /// # Errors
    /// What is wrong with them, in nginx's words.
    pub(crate) fn load(settings: &Arc<ProxyTls>) -> Result<ClientTls, String> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let provider = provider(&settings.ciphers);
        let algorithms = provider.signature_verification_algorithms;
        let judge = match settings.verify {
            true => Some(Judge::of_servers(
                settings.trusted_certificate.as_deref(),
                settings.crl.as_deref(),
                settings.verify_depth,
                algorithms,
            )?),
            false => None,
        };
        let passwords = settings.password_file.as_deref().map(passwords).transpose()?.unwrap_or_default();
        let versions: Vec<_> =
            [(settings.tls_1_3, &rustls::version::TLS13), (settings.tls_1_2, &rustls::version::TLS12)]
                .into_iter()
                .filter_map(|(is_wanted, version)| is_wanted.then_some(version))
                .collect();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&versions);
        let builder = builder.map_err(|error| format!("TLS towards servers can't be set up: {error}"))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier { judge, algorithms }));
        let mut base = match fixed(settings) {
            Some((certificate, key)) => builder.with_client_cert_resolver(shown(&certificate, &key, &passwords)?),
            None => builder.with_no_client_auth(),
        };
        base.enable_sni = settings.server_name;
        base.resumption = match settings.session_reuse {
            true => Resumption::in_memory_sessions(SESSIONS_MAX),
            false => Resumption::disabled(),
        };
        let (id, configs) = (NEXT.fetch_add(1, Ordering::Relaxed), Mutex::default());
        Ok(ClientTls { id, settings: settings.clone(), passwords, base, configs })
    }

    fn config(&self, offer: Offer, certificate: Option<&Certificate>) -> Result<Arc<ClientConfig>, String> {
        let key = Key { offer, certificate: certificate.cloned() };
        if let Some(known) = self.configs.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let mut config = self.base.clone();
        config.alpn_protocols = offer.protocols();
        if let Some(Certificate { certificate, key }) = certificate {
            config.client_auth_cert_resolver = shown(&self.text(certificate), &self.text(key), &self.passwords)?;
            if self.settings.session_reuse {
                // A session is as good as the certificate that it was made with.
                config.resumption = Resumption::in_memory_sessions(SESSIONS_MAX);
            }
        }
        let config = Arc::new(config);
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if configs.len() >= CERTIFICATES_MAX {
            configs.clear();
        }
        configs.insert(key, config.clone());
        Ok(config)
    }

    /// A rendered name: a path from the configuration's folder on, or the text itself.
    fn text(&self, rendered: &[u8]) -> Source {
        source(rendered, &self.settings.folder)
    }
}

/// Where a certificate or a key is.
enum Source {
    File(std::path::PathBuf),
    Data(Vec<u8>),
}

impl Source {
    fn text(&self) -> Text<'_> {
        match self {
            Source::File(path) => Text::File(path),
            Source::Data(bytes) => Text::Data(bytes),
        }
    }
}

fn source(name: &[u8], folder: &Path) -> Source {
    match name.strip_prefix(b"data:") {
        Some(data) => Source::Data(data.to_vec()),
        None => Source::File(folder.join(String::from_utf8_lossy(name).as_ref())),
    }
}

/// The certificate and the key, where neither has variables.
fn fixed(settings: &ProxyTls) -> Option<(Source, Source)> {
    let of = |template: &Option<Template>| Some(source(template.as_ref()?.as_literal()?, &settings.folder));
    Some((of(&settings.certificate)?, of(&settings.key)?))
}

fn shown(certificate: &Source, key: &Source, passwords: &[Vec<u8>]) -> Result<Arc<SingleCertAndKey>, String> {
    let certified: CertifiedKey = certified(certificate.text(), key.text(), passwords)?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

/// rustls' cryptography with the wanted suites of TLS 1.2, in their order. Those of TLS 1.3 are not chosen, as in OpenSSL.
fn provider(ciphers: &[TlsCipher]) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let place = |suite: CipherSuite| ciphers.iter().position(|&cipher| suite_of(cipher) == suite);
    let is_1_3 = |suite: &rustls::SupportedCipherSuite| suite.version().version == ProtocolVersion::TLSv1_3;
    provider.cipher_suites.retain(|suite| is_1_3(suite) || place(suite.suite()).is_some());
    provider.cipher_suites.sort_by_key(|suite| if is_1_3(suite) { None } else { place(suite.suite()) });
    provider
}

fn suite_of(cipher: TlsCipher) -> CipherSuite {
    match cipher {
        TlsCipher::EcdsaAes256 => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TlsCipher::RsaAes256 => CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        TlsCipher::EcdsaChacha20 => CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        TlsCipher::RsaChacha20 => CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        TlsCipher::EcdsaAes128 => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TlsCipher::RsaAes128 => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    }
}

/// Judges servers, as far as `proxy_ssl_verify` wants them judged. That they have the key of the certificate that they show is
/// always verified.
#[derive(Debug)]
struct Verifier {
    judge: Option<Judge>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let refuse = |why: String| {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Trouble(why)))))
        };
        if let Some(judge) = &self.judge {
            let chain: Vec<_> = [own].into_iter().chain(others).cloned().collect();
            judge.judge(&chain).map_err(|flaw| {
                refuse(format!("upstream SSL certificate verify error: ({}:{})", flaw.code, flaw.text))
            })?;
            if !is_for(own, name) {
                return Err(refuse(mismatch(&name.to_str())));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether a certificate is for this host. One without any alternative name is for its common name, as OpenSSL has it.
fn is_for(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let by_alternative = |end: EndEntityCert<'_>| end.verify_is_valid_for_subject_name(name).is_ok();
    EndEntityCert::try_from(certificate).is_ok_and(by_alternative) || is_for_common_name(certificate, &name.to_str())
}

fn is_for_common_name(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return false };
    if !matches!(parsed.subject_alternative_name(), Ok(None)) {
        return false;
    }
    let is_name = |text: &str| match text.strip_prefix("*.") {
        Some(parent) => {
            name.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest.eq_ignore_ascii_case(parent))
        }
        None => text.eq_ignore_ascii_case(name),
    };
    parsed.subject().iter_common_name().any(|common| common.as_str().is_ok_and(is_name))
}

/// What is wrong with a connection to a server, in nginx's words.
#[derive(Debug)]
struct Trouble(String);

impl Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// What nginx would say of a handshake that failed.
pub(crate) fn describe(error: &io::Error) -> String {
    if let Some(Trouble(why)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return why.clone();
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(why)))) => why.to_string(),
        Some(error) => format!("SSL_do_handshake() failed (SSL: {error})"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "peer closed connection in SSL handshake".into(),
        None if error.kind() == io::ErrorKind::ConnectionReset => {
            let reason = crate::observe::error_log::os_error(error);
            format!("peer closed connection in SSL handshake ({reason})")
        }
        None => format!("SSL_do_handshake() failed ({})", crate::observe::error_log::os_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_without_its_port() {
        let names = ["app", "app:8443", "[::1]:8443", "::1", "127.0.0.1:1"].map(without_port);
        assert_eq!(names, ["app", "app", "::1", "::1", "127.0.0.1"]);
    }

    #[test]
    fn suites_are_offered_in_the_order_of_the_directive() {
        let provider = provider(&[TlsCipher::RsaAes128, TlsCipher::EcdsaAes256]);
        let suites: Vec<_> = provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
        assert_eq!(suites[..3].iter().filter(|suite| format!("{suite:?}").starts_with("TLS13")).count(), 3);
        assert_eq!(suites[3..], [suite_of(TlsCipher::RsaAes128), suite_of(TlsCipher::EcdsaAes256)]);
    }
}
