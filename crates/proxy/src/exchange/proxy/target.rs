//! Where a `proxy_pass` sends the request, and which target the request line gets.

use crate::exchange::{Exchange, Next};
use crate::upstream::{Endpoint, Planned, Upstream};
use bytes::Bytes;
use culvert_conf::config::{self, Level, LocationKind, ProxyName, ProxyPass, ProxyTarget, ProxyUri};
use culvert_engine::balance::PeerSpec;
use culvert_engine::uri;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Chooses the upstream and composes the request's target. The error is the next step instead.
pub(super) async fn resolve(exchange: &mut Exchange, pass: &ProxyPass) -> Result<Arc<Upstream>, Next> {
    match &pass.target {
        ProxyTarget::Upstream { upstream, uri, name, tls } => {
            exchange.proxied_by_tls = *tls;
            exchange.proxied = Some(name.clone());
            exchange.request.upstream_uri = compose(exchange, uri);
            Ok(exchange.generation.upstreams[*upstream].clone())
        }
        ProxyTarget::Variable(url) => {
            let url = exchange.render(url);
            resolve_rendered(exchange, pass, &url).await
        }
    }
}

fn compose(exchange: &Exchange, uri: &ProxyUri) -> Vec<u8> {
    let request = &exchange.request;
    let (prefix, skipped) = match uri {
        ProxyUri::Unchanged if request.unparsed_is_valid => return request.unparsed().to_vec(),
        // After `rewrite … break` the URI of `proxy_pass` is out of force.
        ProxyUri::Replace(_) if !request.location_is_valid => (&b""[..], 0),
        ProxyUri::Unchanged => (&b""[..], 0),
        ProxyUri::Replace(prefix) => (&prefix[..], matched_length(exchange)),
    };
    let mut target = prefix.to_vec();
    let rest = &request.uri[skipped..];
    if request.quoted || request.internal {
        uri::escape_uri(rest, &mut target);
    } else {
        target.extend_from_slice(rest);
    }
    if !request.args.is_empty() {
        target.push(b'?');
        target.extend_from_slice(&request.args);
    }
    target
}

/// How many bytes of the URI the location's name took.
fn matched_length(exchange: &Exchange) -> usize {
    match exchange.location.kind {
        LocationKind::Exact | LocationKind::Prefix => exchange.location.name.len().min(exchange.request.uri.len()),
        _ => 0,
    }
}

async fn resolve_rendered(exchange: &mut Exchange, pass: &ProxyPass, url: &[u8]) -> Result<Arc<Upstream>, Next> {
    let text = String::from_utf8_lossy(url).into_owned();
    let (is_tls, rest) = match text.strip_prefix("https://") {
        Some(rest) => (true, Some(rest)),
        None => (false, text.strip_prefix("http://")),
    };
    let Some(rest) = rest.filter(|rest| !rest.is_empty()) else {
        exchange.log(Level::Error, format_args!("invalid URL prefix in \"{text}\""));
        return Err(Next::Status(500));
    };
    let (authority, uri) = split_authority(rest);
    let explicit_port = port_of(authority);
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    if !authority.starts_with("unix:") && explicit_port.is_some_and(|port| !is_port(port)) {
        exchange.log(Level::Error, format_args!("invalid port in upstream \"{authority}\""));
        return Err(Next::Status(500));
    }
    let port = if authority.starts_with("unix:") {
        String::new()
    } else {
        explicit_port.unwrap_or(if is_tls { "443" } else { "80" }).into()
    };
    exchange.proxied_by_tls = is_tls;
    let host = Bytes::copy_from_slice(authority.as_bytes());
    exchange.proxied = Some(Arc::new(ProxyName { host, port: port.clone().into() }));
    exchange.request.upstream_uri = match uri {
        "" => compose(exchange, &ProxyUri::Unchanged),
        uri if uri.starts_with('?') => format!("/{uri}").into_bytes(),
        uri => uri.as_bytes().to_vec(),
    };
    let mut upstreams = exchange.generation.upstreams.iter();
    if let Some(known) = upstreams.find(|upstream| upstream.name.eq_ignore_ascii_case(authority)) {
        return Ok(known.clone());
    }
    let endpoints = match endpoint_of(authority, &port) {
        Some(endpoint) => vec![endpoint],
        None => look_up(exchange, authority.split(':').next().unwrap_or_default(), &port).await?,
    };
    Ok(Arc::new(unnamed(endpoints, authority, pass)))
}

/// Resolves a name by the location's `resolver`.
async fn look_up(exchange: &mut Exchange, host: &str, port: &str) -> Result<Vec<Endpoint>, Next> {
    let location = exchange.location.clone();
    let (Some(resolver), Ok(port)) = (&location.resolver, port.parse()) else {
        exchange.log(Level::Error, format_args!("no resolver defined to resolve {host}"));
        return Err(Next::Status(502));
    };
    match exchange.generation.lookups.resolve(resolver, location.resolver_timeout, host).await {
        Ok(found) => Ok(found.iter().map(|&ip| Endpoint::Inet(SocketAddr::new(ip, port))).collect()),
        Err(trouble) => {
            exchange.log(Level::Error, format_args!("{host} could not be resolved ({})", trouble.describe()));
            Err(Next::Status(502))
        }
    }
}

fn split_authority(rest: &str) -> (&str, &str) {
    if let Some(path) = rest.strip_prefix("unix:") {
        return match path.find(':') {
            Some(colon) => (&rest[..5 + colon], &path[colon + 1..]),
            None => (rest, ""),
        };
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    rest.split_at(end)
}

fn port_of(authority: &str) -> Option<&str> {
    let after_literal = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    authority[after_literal..].rsplit_once(':').map(|(_, port)| port)
}

fn endpoint_of(authority: &str, port: &str) -> Option<Endpoint> {
    if let Some(path) = authority.strip_prefix("unix:") {
        return Some(Endpoint::Unix(path.into()));
    }
    let host = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, _)) => literal,
        None => authority.split(':').next()?,
    };
    let ip: IpAddr = host.parse().ok()?;
    Some(Endpoint::Inet(SocketAddr::new(ip, port.parse().ok()?)))
}

/// An upstream that the configuration does not name, of the addresses of one server; it lives as long as the request.
fn unnamed(endpoints: Vec<Endpoint>, name: &str, pass: &ProxyPass) -> Upstream {
    let config = config::Upstream::new(name.into(), true, pass.place.clone());
    let spec = PeerSpec { name: name.into(), ..PeerSpec::default() };
    let planned = endpoints.into_iter().map(|endpoint| Planned { endpoint, spec: spec.clone(), server: 0 });
    let upstream = Upstream::new(config, planned.collect(), None);
    upstream.take_effect();
    upstream
}
