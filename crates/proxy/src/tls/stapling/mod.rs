//! `ssl_stapling`: what the issuer's OCSP responder says of a certificate is shown along with it (RFC 6066 section 8).
//!
//! ```text
//!   Certificates ──► Staple ──► State: the answer, and when to ask again ◄── keep: a task per certificate, in the main thread
//!                                                                             │ message: the question, is the answer good
//!                                                                             │ fetch: over HTTP
//! ```
//!
//! One answer serves all workers and all servers that show the certificate. It is kept over reloads for as long as the same
//! responder is to be asked about the same certificate.

mod fetch;
mod keep;
mod message;

pub(crate) use keep::keep;
pub(super) use message::is_response;

use super::files;
use arc_swap::ArcSwapOption;
use culvert_conf::config::{Resolver, Server};
use culvert_engine::uri::host_of;
use message::Subject;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

/// A certificate that a responder is asked about.
pub(crate) struct Staple {
    /// The certificate's file, for messages.
    name: String,
    subject: Subject,
    responder: Responder,
    /// `ssl_stapling_verify`.
    verify: bool,
    resolver: Option<(Arc<Resolver>, Duration)>,
    algorithms: WebPkiSupportedAlgorithms,
    state: Arc<State>,
}

/// What is known, and outlives configurations.
#[derive(Default)]
struct State {
    answer: ArcSwapOption<Answer>,
    /// When to ask again; the beginning of time for one that was never asked.
    due: Mutex<Option<SystemTime>>,
}

/// A good answer.
pub(super) struct Answer {
    /// As it came, and as it is shown.
    pub(super) der: Vec<u8>,
    /// Its `nextUpdate`; without one it holds until there is another.
    until: Option<SystemTime>,
}

/// Who is asked: an `http://` URL in its parts.
struct Responder {
    host: String,
    port: u16,
    uri: String,
    /// The host's addresses at the start; empty where `resolver` is to be asked.
    addresses: Vec<SocketAddr>,
}

/// All staples of a configuration, by what tells them apart.
#[derive(Clone, Default)]
pub(super) struct Staples(HashMap<Key, Arc<Staple>>);

/// Certificate, issuer, URL, and whether the responder's right is checked.
type Key = (Vec<u8>, Vec<u8>, String, bool);

impl Staples {
    /// The staple of a certificate with its chain. The error is nginx's warning about why there is none.
    pub(super) fn of(
        &mut self,
        server: &Server,
        name: &str,
        chain: &[CertificateDer<'_>],
        algorithms: WebPkiSupportedAlgorithms,
        before: Option<&Staples>,
    ) -> Result<Arc<Staple>, String> {
        let ignored = |why: String| format!("\"ssl_stapling\" ignored, {why} certificate \"{name}\"");
        let settings = &server.tls;
        let own = chain.first().ok_or_else(|| ignored("issuer certificate not found for".into()))?;
        let (_, certificate) =
            x509_parser::parse_x509_certificate(own).map_err(|error| ignored(format!("{error} in the")))?;
        let trusted = [&settings.trusted_certificate, &settings.client_certificate];
        let trusted = trusted.into_iter().flatten().flat_map(|file| read_all(file));
        let others = chain[1..].iter().map(|other| other.to_vec()).chain(trusted);
        let issuer = others.into_iter().find(|issuer| message::has_issued(issuer, &certificate, algorithms));
        let issuer = issuer.ok_or_else(|| ignored("issuer certificate not found for".into()))?;
        let named = || responder_of(&certificate);
        let url = settings.stapling_responder.clone().or_else(named);
        let url = url.ok_or_else(|| ignored("no OCSP responder URL in the".into()))?;
        let key: Key = (own.to_vec(), issuer, url, settings.stapling_verify);
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let resolver = server.root.resolver.clone().map(|resolver| (resolver, server.root.resolver_timeout));
        let responder = Responder::parse(&key.2, resolver.is_some()).map_err(|why| ignored(format!("{why} in the")))?;
        let subject =
            Subject::new(&certificate, &key.1).ok_or_else(|| ignored("unusual serial number in the".into()))?;
        let state = before.and_then(|before| before.0.get(&key)).map(|before| before.state.clone()).unwrap_or_default();
        let verify = settings.stapling_verify;
        let staple = Arc::new(Staple { name: name.into(), subject, responder, verify, resolver, algorithms, state });
        self.0.insert(key, staple.clone());
        Ok(staple)
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Staple>> {
        self.0.values()
    }
}

/// The certificates of a file that other checks read as well, and say what is wrong with it.
fn read_all(file: &std::path::Path) -> Vec<Vec<u8>> {
    let certificates = files::read(file).ok().and_then(|bytes| files::certificates(&bytes).ok());
    certificates.unwrap_or_default().into_iter().map(|certificate| certificate.to_vec()).collect()
}

/// The URL of the responder that a certificate names (RFC 5280 section 4.2.2.1).
fn responder_of(certificate: &X509Certificate<'_>) -> Option<String> {
    let access = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityInfoAccess(access) => Some(access),
        _ => None,
    })?;
    access.iter().find_map(|description| match &description.access_location {
        GeneralName::URI(url) if description.access_method.to_id_string() == OCSP => Some((*url).to_owned()),
        _ => None,
    })
}

/// `id-ad-ocsp`.
const OCSP: &str = "1.3.6.1.5.5.7.48.1";

impl Responder {
    /// Takes a URL apart. Without a resolver its host is resolved now.
    fn parse(url: &str, has_resolver: bool) -> Result<Responder, String> {
        let is_http = url.len() > 7 && url.is_char_boundary(7) && url[..7].eq_ignore_ascii_case("http://");
        let rest =
            if is_http { &url[7..] } else { return Err(format!("invalid URL prefix in OCSP responder \"{url}\"")) };
        let (authority, uri) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let failed = |why: &str| format!("{why} in OCSP responder \"{rest}\"");
        let host = host_of(authority.as_bytes()).map_err(|_| failed("no host"))?;
        let has_port = authority.len() > host.name.len();
        if has_port && host.port.is_none() {
            return Err(failed("invalid port"));
        }
        let port = host.port.unwrap_or(80);
        let host = String::from_utf8_lossy(&host.name).into_owned();
        let is_address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
        let addresses = match has_resolver && !is_address {
            true => Vec::new(),
            false => {
                let found = (host.trim_matches(['[', ']']), port).to_socket_addrs();
                found.map_err(|_| failed("host not found"))?.collect()
            }
        };
        let slash = if uri.starts_with('/') { "" } else { "/" };
        Ok(Responder { host, port, uri: format!("{slash}{uri}"), addresses })
    }
}

impl Staple {
    /// The answer to be shown now.
    pub(super) fn answer(&self) -> Option<Arc<Answer>> {
        let holds = |answer: &Arc<Answer>| answer.until.is_none_or(|until| SystemTime::now() <= until);
        self.state.answer.load_full().filter(holds)
    }
}

impl std::fmt::Debug for Staple {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staple").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Result<(String, u16, String), String> {
        Responder::parse(url, true).map(|responder| (responder.host, responder.port, responder.uri))
    }

    #[test]
    fn a_responder_is_an_http_url() {
        assert_eq!(parts("http://ocsp.test"), Ok(("ocsp.test".into(), 80, "/".into())));
        assert_eq!(parts("HTTP://ocsp.test:81/a/b"), Ok(("ocsp.test".into(), 81, "/a/b".into())));
        assert_eq!(parts("http://[::1]:81/?a"), Ok(("[::1]".into(), 81, "/?a".into())));
        assert_eq!(parts("https://x"), Err("invalid URL prefix in OCSP responder \"https://x\"".into()));
        assert_eq!(parts("http:///x"), Err("no host in OCSP responder \"/x\"".into()));
        assert_eq!(parts("http://x:0/"), Err("invalid port in OCSP responder \"x:0/\"".into()));
    }

    #[test]
    fn an_address_needs_no_resolver() {
        let responder = Responder::parse("http://127.0.0.1:81/", true).expect("a responder");
        assert_eq!(responder.addresses, ["127.0.0.1:81".parse().expect("an address")]);
    }
}
