//! `upstream` blocks.

use crate::address::{self, Address, Host, Purpose};
use crate::config::{PeerAddr, Place, Upstream, UpstreamServer};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Phase, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::balance::Method;
use std::time::Duration;

/// The rows of this module.
pub(crate) const ROWS: &[Row] = &[
    Row::block("upstream", Contexts::HTTP, Arity::Exactly(1), Phase::Definition, upstream)
        .repeats()
        .doc("A group of servers that `proxy_pass` can name. Requests are shared out by smooth weighted round robin."),
    Row::new("server", Contexts::UPSTREAM, Arity::AtLeast(1), server).repeats().doc(
        "A server of the group: `host:port` (port 80 without one) or `unix:/path`. `weight=N` is its share, \
         `max_fails=N` failures within `fail_timeout=TIME` take it out for that time (1 in 10 s without them; 0 never \
         does), `backup` is used when no other server is left, `down` never. `max_conns=`, `resolve`, `slow_start=`, \
         `route=`, `service=` and `drain` are not supported yet.",
    ),
    Row::new("keepalive", Contexts::UPSTREAM, Arity::Exactly(1), |scope, directive| {
        let count = units::number(directive.arg(1)).filter(|&count| count > 0).and_then(|n| usize::try_from(n).ok());
        let message = || format!("invalid value \"{}\" in \"keepalive\" directive", directive.arg(1));
        group(scope).keepalive = count.ok_or_else(|| Fault::at(1, message()))?;
        Ok(())
    })
    .doc(
        "How many idle connections to the group's servers one worker thread keeps. Without it none; nginx needs \
         `proxy_http_version 1.1` and an empty `Connection` header for it to have an effect.",
    ),
    Row::new("keepalive_requests", Contexts::UPSTREAM, Arity::Exactly(1), |scope, directive| {
        group(scope).keepalive_requests = directive.number(1)?;
        Ok(())
    })
    .default("1000")
    .doc("How many requests one kept connection may carry."),
    Row::new("keepalive_time", Contexts::UPSTREAM, Arity::Exactly(1), |scope, directive| {
        group(scope).keepalive_time = directive.milliseconds(1)?;
        Ok(())
    })
    .default("1h")
    .doc("The age at which a kept connection is closed after its next response."),
    Row::new("keepalive_timeout", Contexts::UPSTREAM, Arity::Exactly(1), |scope, directive| {
        group(scope).keepalive_timeout = directive.milliseconds(1)?;
        Ok(())
    })
    .default("60s")
    .doc("How long a kept connection may idle."),
];

fn group<'s>(scope: &'s mut Scope<'_>) -> &'s mut Upstream {
    scope.upstream.as_mut().expect("these rows are found in upstream blocks only")
}

/// A group with nginx's defaults.
pub(crate) fn empty(name: String, implicit: bool, place: Place) -> Upstream {
    Upstream {
        name,
        implicit,
        method: Method::RoundRobin,
        servers: Vec::new(),
        keepalive: 0,
        keepalive_requests: 1000,
        keepalive_time: Duration::from_secs(3600),
        keepalive_timeout: Duration::from_secs(60),
        place,
    }
}

/// A server with nginx's defaults.
pub(crate) fn peer(address: Address, name: String, default_port: u16, place: Place) -> UpstreamServer {
    let port = address.port.unwrap_or(default_port);
    let addr = match address.host {
        Host::Unix(path) => PeerAddr::Unix(path),
        Host::V6(ip) => PeerAddr::Host(ip.to_string(), port),
        Host::Name(host) => PeerAddr::Host(host, port),
        // Only `listen` lines may have a star.
        Host::Wildcard => PeerAddr::Host("*".into(), port),
    };
    UpstreamServer {
        addr,
        name,
        weight: 1,
        max_fails: 1,
        fail_timeout: Duration::from_secs(10),
        backup: false,
        down: false,
        place,
    }
}

fn upstream(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let name = directive.arg(1).to_owned();
    let is_known = scope.world.upstreams.iter().any(|known| known.name.eq_ignore_ascii_case(&name));
    let mut child = scope.child(Contexts::UPSTREAM);
    child.upstream = Some(empty(name.clone(), false, directive.place.clone()));
    child.walk(directive.items());
    let has_lines = child.has("server");
    let upstream = child.upstream.take().expect("it was put here above");
    if is_known {
        return Err(Fault::at(1, format!("duplicate upstream \"{name}\"")));
    }
    if !has_lines {
        scope.fault_at_close(directive, "no servers are inside upstream");
    } else if upstream.servers.iter().all(|server| server.backup) && !upstream.servers.is_empty() {
        return Err(Fault::at(1, format!("no servers in upstream \"{name}\"")));
    }
    scope.world.upstreams.push(upstream);
    Ok(())
}

fn server(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(1);
    let fault = |why: &str| Fault::at(1, format!("{why} in upstream \"{text}\""));
    let address = address::parse(text, Purpose::Peer).map_err(fault)?;
    let mut server = peer(address, text.to_owned(), 80, directive.place.clone());
    for number in 2..=directive.args().len() {
        parameter(&mut server, directive, number)?;
    }
    group(scope).servers.push(server);
    Ok(())
}

fn parameter(server: &mut UpstreamServer, directive: &Directive, number: usize) -> Result<(), Fault> {
    let text = directive.arg(number);
    let invalid = || directive.invalid_parameter(number);
    let count = |value: &str| units::number(value).and_then(|count| u32::try_from(count).ok()).ok_or_else(invalid);
    match text.split_once('=') {
        Some(("weight", value)) => match count(value)? {
            0 => return Err(invalid()),
            weight => server.weight = weight,
        },
        Some(("max_fails", value)) => server.max_fails = count(value)?,
        Some(("fail_timeout", value)) => server.fail_timeout = units::seconds(value).ok_or_else(invalid)?,
        Some(("max_conns", value)) => {
            if count(value)? != 0 {
                return Err(directive.unsupported_parameter(number));
            }
        }
        Some(("slow_start" | "route" | "service" | "id", _)) => return Err(directive.unsupported_parameter(number)),
        None if text == "backup" => server.backup = true,
        None if text == "down" => server.down = true,
        None if text == "resolve" || text == "drain" => return Err(directive.unsupported_parameter(number)),
        _ => return Err(invalid()),
    }
    Ok(())
}
