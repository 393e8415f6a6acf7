//! TLS towards clients: certificates, the choice of the server by name, sessions, and what is known of a connection.
//!
//! What a configuration says becomes one [`ServerTls`] per server when a plan is made; what outlives configurations, caches
//! of sessions and ticket keys, is handed from one [`Tls`] to the next.

mod certificates;
mod facts;
mod files;
mod handshake;
mod legacy_key;
mod names;
mod server;
mod sessions;
mod stapling;
mod verify;

pub(crate) use facts::TlsFacts;
pub(crate) use files::{Text, certified, passwords};
pub(crate) use handshake::shake;
pub(crate) use server::ServerTls;
pub(crate) use stapling::keep as keep_staples;
pub(crate) use verify::Judge;

use crate::lifecycle::Site;
use culvert_conf::config::{Config, Server, SessionCache};
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use sessions::{Store, TicketKeys};
use stapling::{Staple, Staples};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The TLS of all servers of a generation.
#[derive(Default)]
pub(crate) struct Tls {
    /// By the index of the server; `None` where it has no certificate.
    servers: Vec<Option<Arc<ServerTls>>>,
    kept: Kept,
    /// The certificates that responders are asked about.
    staples: Staples,
}

/// What outlives a configuration.
#[derive(Clone, Default)]
struct Kept {
    /// Shared caches by name, and servers' own by the lines that their servers begin at.
    stores: HashMap<String, Arc<Store>>,
    tickets: Option<Arc<TicketKeys>>,
}

/// Session tickets are good for no longer than this (RFC 8446 section 4.6.1).
const TICKET_LIFE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

impl Tls {
    /// Reads the files of all servers that speak TLS at one of the `sites`, or have certificates. Errors and warnings are lines
    /// in nginx's form.
    pub(crate) fn new<'a>(
        config: &Config,
        sites: impl Iterator<Item = &'a Site>,
        before: Option<&Tls>,
        errors: &mut Vec<String>,
        warnings: &mut Vec<String>,
    ) -> Tls {
        let servers = &config.http.servers;
        for site in sites.filter(|site| site.ssl) {
            errors.extend(missing_certificate(servers, site));
        }
        if servers.iter().all(|server| server.tls.certificates.is_empty()) {
            return Tls { servers: vec![None; servers.len()], ..Tls::default() };
        }
        let kept = Kept::of(servers, before.map(|before| &before.kept));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut loaded = certificates::Loaded::default();
        let mut staples = Staples::default();
        let mut planned = StaplesInPlan { all: &mut staples, before: before.map(|before| &before.staples), warnings };
        let servers =
            servers.iter().map(|server| server_tls(server, &provider, &kept, &mut loaded, &mut planned, errors));
        let servers = servers.collect();
        Tls { servers, kept, staples }
    }

    /// The TLS of a server.
    pub(crate) fn of(&self, server: usize) -> Option<&Arc<ServerTls>> {
        self.servers.get(server)?.as_ref()
    }

    fn staples(&self) -> &Staples {
        &self.staples
    }
}

/// Staples while a plan is made.
struct StaplesInPlan<'a> {
    all: &'a mut Staples,
    before: Option<&'a Staples>,
    warnings: &'a mut Vec<String>,
}

impl StaplesInPlan<'_> {
    /// The staple of a certificate, or a warning that says why it has none.
    fn of(
        &mut self,
        server: &Server,
        name: &str,
        chain: &[CertificateDer<'_>],
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Option<Arc<Staple>> {
        let staple = self.all.of(server, name, chain, algorithms, self.before);
        staple.map_err(|why| self.warn(&why)).ok()
    }

    /// Servers that inherit one certificate say one thing.
    fn warn(&mut self, why: &str) {
        let line = format!("[warn] {why}");
        if !self.warnings.contains(&line) {
            self.warnings.push(line);
        }
    }
}

fn server_tls(
    server: &Server,
    provider: &Arc<CryptoProvider>,
    kept: &Kept,
    loaded: &mut certificates::Loaded,
    staples: &mut StaplesInPlan<'_>,
    errors: &mut Vec<String>,
) -> Option<Arc<ServerTls>> {
    if server.tls.certificates.is_empty() {
        return None;
    }
    match ServerTls::new(server, provider, kept, loaded, staples) {
        Ok(tls) => Some(Arc::new(tls)),
        Err(error) => {
            let line = format!("[emerg] {error}");
            // Servers that inherit one certificate say one thing.
            if !errors.contains(&line) {
                errors.push(line);
            }
            None
        }
    }
}

/// nginx's complaint about a site that speaks TLS without having a certificate to show: the default server needs one, or, if
/// it refuses all handshakes, each of the others.
fn missing_certificate(servers: &[Arc<Server>], site: &Site) -> Option<String> {
    let has = |index: &usize| !servers[*index].tls.certificates.is_empty();
    let rejects = |index: &usize| servers[*index].tls.reject_handshake;
    let default = site.default.server;
    let without = if has(&default) {
        None
    } else if !rejects(&default) {
        Some(default)
    } else {
        site.servers.iter().copied().find(|index| !has(index) && !rejects(index))
    };
    without.map(|index| {
        let place = &servers[index].place;
        format!("[emerg] no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in {place}")
    })
}

impl Kept {
    /// What `servers` need of it, taken from the configuration before where it is the same.
    fn of(servers: &[Arc<Server>], before: Option<&Kept>) -> Kept {
        let mut kept = Kept::default();
        for server in servers {
            let Some((name, bytes)) = cache_of(server) else { continue };
            let old = before.and_then(|before| before.stores.get(&name)).filter(|store| store.bytes_max() == bytes);
            kept.stores.entry(name).or_insert_with(|| old.cloned().unwrap_or_else(|| Arc::new(Store::new(bytes))));
        }
        let tickets = before.and_then(|before| before.tickets.clone());
        kept.tickets = Some(tickets.unwrap_or_else(|| Arc::new(TicketKeys::random(TICKET_LIFE_MAX))));
        kept
    }
}

/// The name and size of a server's cache of sessions.
fn cache_of(server: &Server) -> Option<(String, usize)> {
    match &server.tls.session_cache {
        SessionCache::Shared { name, bytes } => Some((name.clone(), *bytes)),
        SessionCache::Builtin(sessions) => Some((own_cache(server), sessions.saturating_mul(SESSION_BYTES))),
        // Early data is taken with sessions that are used once, so they are kept here.
        SessionCache::Off | SessionCache::None if server.tls.early_data => {
            Some((own_cache(server), EARLY_SESSIONS * SESSION_BYTES))
        }
        SessionCache::Off | SessionCache::None => None,
    }
}

/// No name of a shared cache has a space in it.
fn own_cache(server: &Server) -> String {
    format!("of {}", server.place)
}

/// What a session takes in a cache, as nginx reckons: a megabyte for 4000.
const SESSION_BYTES: usize = 256;
const EARLY_SESSIONS: usize = 20_480;
