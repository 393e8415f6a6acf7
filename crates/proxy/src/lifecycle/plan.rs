//! A plan is a configuration whose names are resolved and whose files are open: what `-t` checks and a start needs.

use super::generation::Named;
use super::{Generation, Site, body_folders, privileges};
use crate::exchange::access::Zones;
use crate::listen::{self, Address};
use crate::observe::error_log::ErrorSink;
use crate::observe::log_file::LogFiles;
use crate::tls::Tls;
use crate::upstream::tls::{ClientTls, Secure};
use crate::upstream::{Endpoint, Planned, Upstream};
use culvert_conf::config::{
    self, AccessLog, AccessTarget, Batch, Config, Handler, Listen, ListenAddr, LogTarget, PeerAddr, ServerName, Step,
};
use culvert_engine::route::{NameError, ServerNames};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

/// What a start or a reload is about to put into service.
pub(super) struct Plan {
    pub(super) config: Config,
    /// The addresses to listen on, each with its `listen` options and its servers.
    pub(super) listens: Vec<PlannedListen>,
    pub(super) upstreams: Vec<Arc<Upstream>>,
    pub(super) tls: Tls,
    pub(super) client_tls: HashMap<usize, Arc<ClientTls>>,
    pub(super) logs: LogFiles,
    pub(super) zones: Zones,
    pub(super) trusted_hosts: HashMap<Box<str>, Box<[IpAddr]>>,
    /// Lines in nginx's form.
    pub(super) warnings: Vec<String>,
}

/// One address to listen on.
pub(super) struct PlannedListen {
    pub(super) address: Address,
    pub(super) options: Listen,
    pub(super) site: Site,
}

impl Plan {
    /// Resolves and opens everything. All errors are reported, as lines in nginx's form.
    pub(super) fn new(config: Config, before: Option<&Generation>) -> Result<Plan, Vec<String>> {
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        let (logs, failed) = LogFiles::open(log_targets(&config), before.map(|before| &before.logs));
        errors.extend(failed);
        if privileges::is_root() {
            errors.extend(privileges::check(config.main.user.as_ref()).err());
        }
        errors.extend(body_folders::make(&config));
        let client_tls = plan_client_tls(&config, &mut errors);
        let upstreams = plan_upstreams(&config, &client_tls, before, &mut errors);
        let listens = plan_listens(&config, &mut errors, &mut warnings);
        let sites = listens.iter().map(|listen| &listen.site);
        let tls = Tls::new(&config, sites, before.map(|before| &before.tls), &mut errors, &mut warnings);
        let old = before.map(|before| (&before.config.http.tables, &before.zones));
        let zones = Zones::plan(&config.http.tables, old, &mut errors);
        let trusted_hosts = resolve_trusted(&config, &mut errors);
        match errors.is_empty() {
            true => Ok(Plan { config, listens, upstreams, tls, client_tls, logs, zones, trusted_hosts, warnings }),
            false => Err(errors),
        }
    }

    /// Puts into effect how logs are written.
    pub(super) fn gather_logs(&self) {
        self.logs.gather(batches(&self.config));
    }

    /// The open error logs of all locations, by the address of their list.
    pub(super) fn error_sinks(&self) -> HashMap<usize, Arc<ErrorSink>> {
        let servers = self.config.http.servers.iter();
        let locations = servers.flat_map(|server| server.every_location());
        let mut sinks = HashMap::new();
        for logs in locations.map(|location| &location.error_logs) {
            sinks.entry(Arc::as_ptr(logs).addr()).or_insert_with(|| Arc::new(ErrorSink::new(logs, &self.logs)));
        }
        sinks
    }

    /// Tries to bind every address, for `-t`.
    pub(super) fn try_sockets(&self) -> Result<(), Vec<String>> {
        let in_use = format!("({}:", nix::libc::EADDRINUSE);
        let failed = |listen: &PlannedListen| listen::probe(&listen.address, &listen.options).err();
        let errors: Vec<_> = self.listens.iter().filter_map(failed).filter(|error| !error.contains(&in_use)).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}

fn log_targets(config: &Config) -> impl Iterator<Item = &LogTarget> {
    let locations = config.http.servers.iter().flat_map(|server| server.every_location());
    let in_locations = locations.flat_map(|location| {
        let access = location.access_logs.iter().filter_map(fixed);
        access.chain(location.error_logs.iter().map(|log| &log.target))
    });
    config.main.error_log.iter().map(|log| &log.target).chain(in_locations)
}

/// How the lines of files are gathered.
fn batches(config: &Config) -> impl Iterator<Item = (&LogTarget, Batch)> {
    let locations = config.http.servers.iter().flat_map(|server| server.every_location());
    locations.flat_map(|location| location.access_logs.iter()).filter_map(|log| Some((fixed(log)?, log.batch?)))
}

fn fixed(log: &AccessLog) -> Option<&LogTarget> {
    match &log.target {
        AccessTarget::Fixed(target) => Some(target),
        AccessTarget::Computed(_) => None,
    }
}

fn plan_upstreams(
    config: &Config,
    client_tls: &HashMap<usize, Arc<ClientTls>>,
    before: Option<&Generation>,
    errors: &mut Vec<String>,
) -> Vec<Arc<Upstream>> {
    let plan = |upstream: &config::Upstream| {
        let mut planned = Vec::new();
        // Names with `resolve` are asked for while the gateway runs.
        for (server, line) in upstream.servers.iter().enumerate().filter(|(_, line)| !line.resolve) {
            match resolve_peer(&line.addr) {
                Some(found) => {
                    let spec = line.spec.clone();
                    planned.extend(found.into_iter().map(|endpoint| Planned { endpoint, spec: spec.clone(), server }));
                }
                None => {
                    errors.push(format!("[emerg] host not found in upstream \"{}\" in {}", line.spec.name, line.place));
                }
            }
        }
        check_resolver(upstream.resolver.as_deref(), errors);
        let before = before.and_then(|before| before.upstreams.iter().find(|other| other.name == upstream.name));
        let built = Upstream::new(upstream.clone(), planned, before.map(Arc::as_ref));
        Arc::new(built.with_check_tls(check_tls(upstream, client_tls)))
    };
    config.http.upstreams.iter().map(plan).collect()
}

/// TLS towards servers of all locations that speak it, by the address of what they say of it.
fn plan_client_tls(config: &Config, errors: &mut Vec<String>) -> HashMap<usize, Arc<ClientTls>> {
    let mut loaded = HashMap::new();
    let locations = config.http.servers.iter().flat_map(|server| server.locations.iter());
    locations.for_each(|location| load_client_tls(location, &mut loaded, errors));
    loaded
}

/// TLS of an upstream's health checks, in their order. Each stands in a location that speaks it.
fn check_tls(upstream: &config::Upstream, client_tls: &HashMap<usize, Arc<ClientTls>>) -> Vec<Option<Secure>> {
    let secure = |check: &config::HealthCheck| {
        let wanted = check.tls.as_ref()?;
        let tls = client_tls.get(&Arc::as_ptr(&wanted.settings).addr())?;
        Some(Secure::of_check(tls.clone(), &wanted.name))
    };
    upstream.health_checks.iter().map(secure).collect()
}

fn load_client_tls(location: &config::Location, loaded: &mut HashMap<usize, Arc<ClientTls>>, errors: &mut Vec<String>) {
    let settings = &location.proxy_tls;
    if matches!(&location.handler, Handler::Proxy(pass) if pass.is_or_may_be_tls())
        && let Entry::Vacant(vacant) = loaded.entry(Arc::as_ptr(settings).addr())
    {
        match ClientTls::load(settings) {
            Ok(tls) => _ = vacant.insert(Arc::new(tls)),
            Err(error) => errors.push(format!("[emerg] {error}")),
        }
    }
    nested(location).for_each(|inner| load_client_tls(inner, loaded, errors));
}

/// The locations that a location's `if`s make. That of a `limit_except` is one of the server's.
fn nested(location: &config::Location) -> impl Iterator<Item = &config::Location> {
    location.rewrite.iter().filter_map(|step| match step {
        Step::If(step) => step.location.as_deref(),
        _ => None,
    })
}

fn resolve_peer(addr: &PeerAddr) -> Option<Vec<Endpoint>> {
    match addr {
        PeerAddr::Unix(path) => Some(vec![Endpoint::Unix(path.clone())]),
        #[cfg(test)]
        PeerAddr::Host(host, _) if host == "backend-dual" => {
            Some(["backend-v6", "backend-v4"].map(|name| Endpoint::Memory(name.into())).to_vec())
        }
        #[cfg(test)]
        PeerAddr::Host(host, _) if host.starts_with("backend-") => Some(vec![Endpoint::Memory(host.clone())]),
        PeerAddr::Host(host, port) => {
            let mut found: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs().ok()?.collect();
            found.dedup();
            (!found.is_empty()).then(|| found.into_iter().map(Endpoint::Inet).collect())
        }
    }
}

/// An address on the way to its plan: the servers behind it in the order of the file.
struct Gathered<'a> {
    options: Listen,
    /// Any line of the address says `proxy_protocol`.
    proxy_protocol: bool,
    default: Option<usize>,
    ssl: bool,
    http2: bool,
    servers: Vec<(usize, &'a config::Server)>,
}

/// Refuses a name server whose own name has no address, as nginx does: nothing would ever be resolved by it.
fn check_resolver(resolver: Option<&config::Resolver>, errors: &mut Vec<String>) {
    let Some(resolver) = resolver else { return };
    for server in resolver.servers.iter().filter(|server| resolve_peer(server).is_none()) {
        if let PeerAddr::Host(host, _) = server {
            errors.push(format!("[emerg] host not found in resolver \"{host}\" in {}", resolver.place));
        }
    }
}

/// The addresses of the host names in `set_real_ip_from`.
fn resolve_trusted(config: &Config, errors: &mut Vec<String>) -> HashMap<Box<str>, Box<[IpAddr]>> {
    let mut hosts = HashMap::new();
    let locations = config.http.servers.iter().flat_map(|server| server.locations.iter().chain([&server.root]));
    for trusted in locations.flat_map(|location| location.real_ip.from.iter()) {
        let config::Trusted::Host(name, place) = trusted else { continue };
        if hosts.contains_key(name) {
            continue;
        }
        match (&**name, 0).to_socket_addrs() {
            Ok(found) => {
                hosts.insert(name.clone(), found.map(|address| address.ip().to_canonical()).collect());
            }
            Err(_) => errors.push(format!("[emerg] host not found in set_real_ip_from \"{name}\" in {place}")),
        }
    }
    hosts
}

fn plan_listens(config: &Config, errors: &mut Vec<String>, warnings: &mut Vec<String>) -> Vec<PlannedListen> {
    let mut order = Vec::new();
    let mut gathered: HashMap<Address, Gathered<'_>> = HashMap::new();
    for (index, server) in config.http.servers.iter().enumerate() {
        for listen in &server.listens {
            let Some(addresses) = resolve_listen(&listen.addr) else {
                errors.push(format!(
                    "[emerg] host not found in \"{}\" of the \"listen\" directive in {}",
                    shown(&listen.addr),
                    listen.place
                ));
                continue;
            };
            for address in addresses {
                let entry = gathered.entry(address.clone()).or_insert_with(|| {
                    order.push(address.clone());
                    Gathered {
                        options: listen.clone(),
                        proxy_protocol: false,
                        default: None,
                        ssl: false,
                        http2: false,
                        servers: Vec::new(),
                    }
                });
                if let Err(error) = gather(entry, &address, listen, index, server) {
                    errors.push(error);
                }
            }
        }
    }
    let finish = |address: Address| {
        let gathered = gathered.remove(&address).expect("every address in the order was gathered");
        let site = site(&gathered, &address, warnings);
        PlannedListen { address, options: gathered.options, site }
    };
    order.into_iter().map(finish).collect()
}

fn gather<'a>(
    entry: &mut Gathered<'a>,
    address: &Address,
    listen: &Listen,
    index: usize,
    server: &'a config::Server,
) -> Result<(), String> {
    if entry.servers.last().is_none_or(|(last, _)| *last != index) {
        entry.servers.push((index, server));
    }
    entry.ssl |= listen.ssl;
    entry.http2 |= listen.http2;
    entry.proxy_protocol |= listen.proxy_protocol;
    if listen.sets_options {
        entry.options = listen.clone();
    }
    if listen.default_server && entry.default.replace(index).is_some_and(|other| other != index) {
        return Err(format!("[emerg] a duplicate default server for {address} in {}", listen.place));
    }
    Ok(())
}

fn resolve_listen(addr: &ListenAddr) -> Option<Vec<Address>> {
    match addr {
        ListenAddr::Inet(addr) => Some(vec![Address::Inet(*addr)]),
        ListenAddr::Unix(path) => Some(vec![Address::Unix(path.clone())]),
        ListenAddr::Host(host, port) => {
            let found = (host.as_str(), *port).to_socket_addrs().ok()?;
            Some(found.map(Address::Inet).collect())
        }
    }
}

fn shown(addr: &ListenAddr) -> String {
    match addr {
        ListenAddr::Host(host, port) => format!("{host}:{port}"),
        ListenAddr::Inet(addr) => addr.to_string(),
        ListenAddr::Unix(path) => format!("unix:{}", path.display()),
    }
}

fn site(gathered: &Gathered<'_>, address: &Address, warnings: &mut Vec<String>) -> Site {
    let first = gathered.servers.first().map_or(0, |(index, _)| *index);
    let default = Named { server: gathered.default.unwrap_or(first), name: None };
    let mut names = ServerNames::new(default);
    for &(server, conf) in &gathered.servers {
        for (nth, name) in conf.names.iter().enumerate() {
            let named = Named { server, name: Some(nth) };
            match name {
                ServerName::Regex { pattern, .. } => names.insert_pattern(pattern.clone(), named),
                ServerName::Text(text) => {
                    if let Err(NameError::Conflicting) = names.insert_text(text, named) {
                        warnings.push(format!("[warn] conflicting server name \"{text}\" on {address}, ignored"));
                    }
                }
            }
        }
    }
    let servers: Vec<_> = gathered.servers.iter().map(|(index, _)| *index).collect();
    let mut locations = gathered.servers.iter().flat_map(|(_, server)| &server.locations);
    let has_websockets = locations.any(|location| location.may_upgrade());
    let (ssl, http2, proxy_protocol) = (gathered.ssl, gathered.http2, gathered.proxy_protocol);
    Site { names, default, servers, ssl, http2, has_websockets, proxy_protocol }
}
