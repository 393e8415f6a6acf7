//! The TLS of one server, made of what its block says.

use super::certificates::{Certificates, Loaded, Shown};
use super::files::{self, Text};
use super::sessions::{Context, ServerStore, TicketKeys, Tickets};
use super::verify::{self, Asks, Flaw, Judge};
use super::{Kept, StaplesInPlan, cache_of};
use crate::observe::error_log::os_error;
use aws_lc_rs::digest;
use culvert_conf::config::{Server, TlsCipher, TlsGroup, TlsSettings};
use culvert_engine::template::Template;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::CertificateDer;
use rustls::server::{NoServerSessionStorage, danger::ClientCertVerifier};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How a server makes handshakes.
pub(crate) struct ServerTls {
    /// Offering HTTP/1.1 alone by ALPN.
    http1: Arc<ServerConfig>,
    /// Offering HTTP/2 as well.
    http2: Arc<ServerConfig>,
    judge: Option<Judge>,
    /// Certificates whose paths have variables.
    dynamic: Option<Dynamic>,
}

/// Certificates that a handshake names.
struct Dynamic {
    pairs: Vec<(Template, Template)>,
    passwords: Vec<Vec<u8>>,
    folder: Arc<PathBuf>,
    loaded: Mutex<HashMap<Vec<u8>, Arc<Certificates>>>,
}

/// How many certificates of one server with variables are kept.
const DYNAMIC_MAX: usize = 4096;

impl ServerTls {
    pub(super) fn new(
        server: &Server,
        provider: &Arc<CryptoProvider>,
        kept: &Kept,
        loaded: &mut Loaded,
        staples: &mut StaplesInPlan<'_>,
    ) -> Result<ServerTls, String> {
        let settings = &*server.tls;
        check_files(settings)?;
        let provider = Arc::new(CryptoProvider {
            cipher_suites: suites(settings),
            kx_groups: settings.groups.iter().map(|group| kx(*group)).collect(),
            ..CryptoProvider::clone(provider)
        });
        let algorithms = provider.signature_verification_algorithms;
        let judge = verify::asks(settings).then(|| Judge::new(settings, algorithms)).transpose()?;
        let dynamic = Dynamic::of(settings)?;
        let certificates = match dynamic {
            Some(_) => {
                if settings.stapling {
                    staples.warn("\"ssl_stapling\" ignored, certificates with variables are read too late for it");
                }
                Certificates::new(Vec::new())
            }
            None => static_certificates(server, algorithms, loaded, staples)?,
        };
        let context = context(settings, &certificates);
        let versions: Vec<_> =
            [(settings.tls_1_3, &rustls::version::TLS13), (settings.tls_1_2, &rustls::version::TLS12)]
                .into_iter()
                .filter_map(|(wanted, version)| wanted.then_some(version))
                .collect();
        let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions);
        let builder = builder.map_err(|error| format!("{error}"))?;
        let builder = match &judge {
            Some(judge) => {
                builder.with_client_cert_verifier(Arc::new(Asks::new(judge, algorithms)) as Arc<dyn ClientCertVerifier>)
            }
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(certificates));
        config.ignore_client_order = settings.prefer_server_ciphers;
        // rustls takes 32 to 16,384 bytes of plaintext in a record of 5 bytes more.
        config.max_fragment_size = (settings.buffer_size < 16_384).then(|| settings.buffer_size.max(64) + 5);
        keep_sessions(&mut config, server, kept, context)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec(), b"http/0.9".to_vec()];
        let mut http2 = config.clone();
        http2.alpn_protocols.insert(0, b"h2".to_vec());
        Ok(ServerTls { http1: Arc::new(config), http2: Arc::new(http2), judge, dynamic })
    }

    /// What a handshake is made with. `render` gives the text of a path with variables.
    pub(super) fn config(
        &self,
        http2: bool,
        render: impl Fn(&Template) -> Vec<u8>,
    ) -> Result<Arc<ServerConfig>, String> {
        let config = if http2 { &self.http2 } else { &self.http1 };
        let Some(dynamic) = &self.dynamic else { return Ok(config.clone()) };
        let mut config = ServerConfig::clone(config);
        config.cert_resolver = dynamic.load(render)?;
        Ok(Arc::new(config))
    }

    /// Whether a client's certificates are good; `None` where none is asked for.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Option<Result<(), Flaw>> {
        self.judge.as_ref().map(|judge| judge.judge(chain))
    }
}

/// Files that are of no use beyond being good.
fn check_files(settings: &TlsSettings) -> Result<(), String> {
    if let Some(file) = &settings.dhparam {
        let failed = |why: &dyn std::fmt::Display| format!("BIO_new_file(\"{}\") failed (SSL: {why})", file.display());
        let bytes = files::read(file).map_err(|error| failed(&os_error(&error)))?;
        let text = String::from_utf8_lossy(&bytes);
        // The second is what `openssl dhparam -dsaparam` writes.
        let begins = ["-----BEGIN DH PARAMETERS-----", "-----BEGIN X9.42 DH PARAMETERS-----"];
        if !begins.iter().any(|line| text.contains(line)) {
            return Err(format!("PEM_read_bio_DHparams(\"{}\") failed (SSL: no start line)", file.display()));
        }
    }
    Ok(())
}

fn static_certificates(
    server: &Server,
    algorithms: WebPkiSupportedAlgorithms,
    loaded: &mut Loaded,
    staples: &mut StaplesInPlan<'_>,
) -> Result<Certificates, String> {
    let settings = &server.tls;
    let staple = settings.stapling_file.as_deref().filter(|_| settings.stapling);
    let asks = settings.stapling && staple.is_none();
    let mut shown = Vec::new();
    for (certificate, key) in settings.certificates.iter().zip(&*settings.keys) {
        let path = |template: &Template| template.as_literal().map(|text| String::from_utf8_lossy(text).into_owned());
        let (certificate, key) = (path(certificate).unwrap_or_default(), path(key).unwrap_or_default());
        let passwords = settings.password_file.as_deref();
        let certified = loaded.load(Path::new(&certificate), Path::new(&key), passwords, staple)?;
        let staple = asks.then(|| staples.of(server, &certificate, &certified.cert, algorithms)).flatten();
        shown.push(Shown::new(certified, staple));
    }
    Ok(Certificates::new(shown))
}

impl Dynamic {
    fn of(settings: &TlsSettings) -> Result<Option<Dynamic>, String> {
        let is_plain = |template: &Template| template.as_literal().is_some_and(|text| !text.starts_with(b"data:"));
        let pairs: Vec<_> = settings.certificates.iter().cloned().zip(settings.keys.iter().cloned()).collect();
        if pairs.iter().all(|(certificate, key)| is_plain(certificate) && is_plain(key)) {
            return Ok(None);
        }
        let passwords = settings.password_file.as_deref().map(files::passwords).transpose()?.unwrap_or_default();
        Ok(Some(Dynamic { pairs, passwords, folder: settings.folder.clone(), loaded: Mutex::default() }))
    }

    fn load(&self, render: impl Fn(&Template) -> Vec<u8>) -> Result<Arc<Certificates>, String> {
        let texts: Vec<_> = self.pairs.iter().map(|(certificate, key)| (render(certificate), render(key))).collect();
        let name = texts
            .iter()
            .flat_map(|(certificate, key)| [&certificate[..], b"\0", key, b"\0"])
            .collect::<Vec<_>>()
            .concat();
        let kept = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let mut shown = Vec::new();
        for (certificate, key) in &texts {
            let paths = (self.path(certificate), self.path(key));
            let text = |bytes, path| match path {
                Some(path) => Text::File(path),
                None => Text::Data(bytes),
            };
            let certificate = text(&certificate[5.min(certificate.len())..], paths.0.as_deref());
            let key = text(&key[5.min(key.len())..], paths.1.as_deref());
            shown.push(Shown::new(Arc::new(files::certified(certificate, key, &self.passwords)?), None));
        }
        let certificates = Arc::new(Certificates::new(shown));
        let mut kept = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= DYNAMIC_MAX {
            kept.clear();
        }
        kept.insert(name, certificates.clone());
        Ok(certificates)
    }

    /// The file that a text names; `None` for one that is the certificate itself.
    fn path(&self, text: &[u8]) -> Option<PathBuf> {
        (!text.starts_with(b"data:")).then(|| self.folder.join(&*String::from_utf8_lossy(text)))
    }
}

fn suites(settings: &TlsSettings) -> Vec<rustls::SupportedCipherSuite> {
    use cipher_suite as known;
    let newest =
        [known::TLS13_AES_256_GCM_SHA384, known::TLS13_CHACHA20_POLY1305_SHA256, known::TLS13_AES_128_GCM_SHA256];
    let older = settings.ciphers.iter().map(|cipher| match cipher {
        TlsCipher::EcdsaAes256 => known::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TlsCipher::RsaAes256 => known::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        TlsCipher::EcdsaChacha20 => known::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        TlsCipher::RsaChacha20 => known::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        TlsCipher::EcdsaAes128 => known::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        TlsCipher::RsaAes128 => known::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    });
    newest.into_iter().chain(older).collect()
}

fn kx(group: TlsGroup) -> &'static dyn rustls::crypto::SupportedKxGroup {
    match group {
        TlsGroup::X25519 => kx_group::X25519,
        TlsGroup::P256 => kx_group::SECP256R1,
        TlsGroup::P384 => kx_group::SECP384R1,
        TlsGroup::X25519MlKem768 => kx_group::X25519MLKEM768,
    }
}

/// What tells this server's sessions from those of others.
fn context(settings: &TlsSettings, certificates: &Certificates) -> Context {
    let mut hash = digest::Context::new(&digest::SHA256);
    certificates.leaves().for_each(|leaf| hash.update(leaf));
    for template in settings.certificates.iter().filter(|template| template.as_literal().is_none()) {
        hash.update(format!("{template:?}").as_bytes());
    }
    let authorities = (&settings.client_certificate, &settings.trusted_certificate, settings.verify_client);
    hash.update(format!("{authorities:?}").as_bytes());
    let mut context = Context::default();
    context.copy_from_slice(hash.finish().as_ref());
    context
}

fn keep_sessions(config: &mut ServerConfig, server: &Server, kept: &Kept, context: Context) -> Result<(), String> {
    let settings = &server.tls;
    let timeout = settings.session_timeout.min(super::TICKET_LIFE_MAX);
    let store = cache_of(server).and_then(|(name, _)| kept.stores.get(&name).cloned());
    let has_store = store.is_some();
    config.session_storage = match store {
        Some(store) => Arc::new(ServerStore { store, context, timeout }),
        None => Arc::new(NoServerSessionStorage {}),
    };
    if settings.early_data {
        config.max_early_data_size = EARLY_BYTES_MAX;
        config.send_half_rtt_data = true;
    } else if settings.session_tickets {
        let keys = match read_ticket_keys(settings)? {
            Some(keys) => Some(Arc::new(keys)),
            None => kept.tickets.clone(),
        };
        if let Some(keys) = keys {
            config.ticketer = Arc::new(Tickets { keys, context, timeout });
        }
    } else if !has_store {
        config.send_tls13_tickets = 0;
    }
    Ok(())
}

/// How much a client may send before the handshake is complete: what nginx says too.
const EARLY_BYTES_MAX: u32 = 16_384;

fn read_ticket_keys(settings: &TlsSettings) -> Result<Option<TicketKeys>, String> {
    let mut keys = Vec::new();
    for file in &*settings.session_ticket_keys {
        let bytes = files::read(file)
            .map_err(|error| format!("open() \"{}\" failed ({})", file.display(), os_error(&error)))?;
        if !matches!(bytes.len(), 48 | 80) {
            return Err(format!("\"{}\" must be 48 or 80 bytes", file.display()));
        }
        keys.push(bytes);
    }
    Ok((!keys.is_empty()).then(|| TicketKeys::fixed(&keys)))
}
