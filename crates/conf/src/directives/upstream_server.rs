//! `server` lines of an `upstream`.

use super::upstream::group;
use crate::address::{self, Address, Host, Purpose};
use crate::config::{PeerAddr, Place, UpstreamServer};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;
use culvert_engine::balance::{Method, PeerSpec};
use std::net::IpAddr;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[Row::new("server", Contexts::UPSTREAM, Arity::AtLeast(1), server).repeats().doc(
    "A server of the group: `host:port` (port 80 without one) or `unix:/path`. `weight=N` is its share, `max_conns=N` \
     how many requests and tunnels it may carry at once, `max_fails=N` failures within `fail_timeout=TIME` take it out \
     for that time (1 in 10 s without them; 0 never does), `slow_start=TIME` is how long it takes to regain its weight \
     when it comes back, `backup` is used when no other server is left, `down` never, `drain` only for clients that are \
     bound to it, `route=ID` is its id for `sticky`. With `resolve` the addresses of its name are asked for again and \
     again, and `service=NAME` asks for SRV records. `id=` is not supported.",
)];

const DEFAULT_PORT: u16 = 80;

/// A server with nginx's defaults.
pub(super) fn peer(address: Address, name: String, default_port: u16, place: Place) -> UpstreamServer {
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
        spec: PeerSpec { name: name.into(), ..PeerSpec::default() },
        resolve: false,
        service: None,
        place,
    }
}

fn server(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let text = directive.arg(1);
    let fault = |why: &str| Fault::at(1, format!("{why} in upstream \"{text}\""));
    let address = address::parse(text, Purpose::Peer).map_err(fault)?;
    let has_port = address.port.is_some();
    let mut server = peer(address, text.to_owned(), DEFAULT_PORT, directive.place.clone());
    for number in 2..=directive.args().len() {
        let method = group(scope).method;
        parameter(&mut server, method, directive, number)?;
    }
    check_names(&mut server, has_port)?;
    group(scope).servers.push(server);
    Ok(())
}

fn parameter(server: &mut UpstreamServer, method: Method, directive: &Directive, number: usize) -> Result<(), Fault> {
    let text = directive.arg(number);
    let invalid = || directive.invalid_parameter(number);
    let unfit = || Fault::at(number, format!("balancing method does not support parameter \"{text}\""));
    let count = |value: &str| units::number(value).and_then(|count| u32::try_from(count).ok()).ok_or_else(invalid);
    let seconds = |value: &str| units::seconds(value).ok_or_else(invalid);
    match text.split_once('=') {
        Some(("weight", value)) => match count(value)? {
            0 => return Err(invalid()),
            weight => server.spec.weight = weight,
        },
        Some(("max_conns", value)) => server.spec.max_conns = count(value)?,
        Some(("max_fails", value)) => server.spec.max_fails = count(value)?,
        Some(("fail_timeout", value)) => server.spec.fail_timeout = seconds(value)?,
        Some(("slow_start", _)) if !method.ramps() => return Err(unfit()),
        Some(("slow_start", value)) => server.spec.slow_start = seconds(value)?,
        Some(("route", value)) if !value.is_empty() => server.spec.route = Some(value.into()),
        Some(("service", "")) => return Err(Fault::at(number, "service is empty")),
        Some(("service", value)) => server.service = Some(value.into()),
        Some(("id", _)) => return Err(directive.unsupported_parameter(number)),
        None if text == "backup" && !method.allows_backup() => return Err(unfit()),
        None if text == "backup" => server.spec.backup = true,
        None if text == "down" => server.spec.down = true,
        None if text == "drain" => server.spec.drain = true,
        None if text == "resolve" => server.resolve = true,
        _ => return Err(invalid()),
    }
    Ok(())
}

/// What `resolve` and `service=` ask of the address.
fn check_names(server: &mut UpstreamServer, has_port: bool) -> Result<(), Fault> {
    let is_name = matches!(&server.addr, PeerAddr::Host(host, _) if host.parse::<IpAddr>().is_err());
    let fault = |what: &str| Err(Fault::at(1, format!("service upstream \"{}\" {what}", server.spec.name)));
    if server.service.is_some() {
        if !server.resolve {
            return fault("requires \"resolve\" parameter");
        }
        if !is_name {
            return fault("requires domain name");
        }
        if has_port {
            return fault("may not have port");
        }
    }
    // An address is its own answer.
    server.resolve &= is_name;
    Ok(())
}
