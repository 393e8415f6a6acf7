//! `listen`.

use crate::address::{self, Host, Purpose};
use crate::config::{Level, Listen, ListenAddr, Place};
use crate::diagnostic::{Diagnostic, Fault};
use crate::scope::{Scope, World};
use crate::syntax::Directive;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A line that nobody wrote: all addresses, this port.
pub(crate) fn unasked(port: u16, place: Place) -> Listen {
    plain(ListenAddr::Inet(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)), place)
}

fn plain(addr: ListenAddr, place: Place) -> Listen {
    Listen {
        addr,
        default_server: false,
        backlog: None,
        reuseport: false,
        ipv6only: None,
        so_keepalive: None,
        sets_options: false,
        place,
    }
}

pub(crate) fn listen(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let addrs = addresses(directive.arg(1)).map_err(|why| {
        Fault::at(1, format!("{why} in \"{}\" of the \"listen\" directive", directive.arg(1)))
    })?;
    let mut options = plain(addrs[0].clone(), directive.place.clone());
    for number in 2..=directive.args().len() {
        option(&mut options, directive, number)?;
    }
    for addr in addrs {
        if scope.server.listens.iter().any(|known| known.addr == addr) {
            return Err(Fault::at(1, format!("a duplicate listen {}", Shown(&addr))));
        }
        scope.server.listens.push(Listen { addr, ..options.clone() });
    }
    Ok(())
}

/// The addresses that an argument names: one, or one per port of a range.
fn addresses(text: &str) -> Result<Vec<ListenAddr>, &'static str> {
    let address = address::parse(text, Purpose::Listen)?;
    let first = address.port.unwrap_or(80);
    let last = address.last_port.unwrap_or(first);
    let host = match address.host {
        Host::Unix(path) => return Ok(vec![ListenAddr::Unix(path)]),
        Host::Wildcard => Ok(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        Host::V6(ip) => Ok(ip.into()),
        Host::Name(name) => name.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| name),
    };
    let of_port = |port| match &host {
        Ok(ip) => ListenAddr::Inet(SocketAddr::new(*ip, port)),
        Err(name) => ListenAddr::Host(name.clone(), port),
    };
    Ok((first..=last).map(of_port).collect())
}

fn option(listen: &mut Listen, directive: &Directive, number: usize) -> Result<(), Fault> {
    let text = directive.arg(number);
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    match (name, value) {
        ("default_server" | "default", None) => {
            listen.default_server = true;
            return Ok(());
        }
        ("bind", None) => {}
        ("reuseport", None) => listen.reuseport = true,
        ("backlog", Some(value)) => {
            let backlog = value.parse().ok().filter(|&backlog: &i32| backlog > 0);
            let fault = || Fault::at(number, format!("invalid backlog \"{value}\""));
            listen.backlog = Some(backlog.ok_or_else(fault)?);
        }
        ("ipv6only", Some(value)) => listen.ipv6only = Some(ipv6only(listen, value, number)?),
        ("so_keepalive", Some("on")) => listen.so_keepalive = Some(true),
        ("so_keepalive", Some("off")) => listen.so_keepalive = Some(false),
        ("so_keepalive", Some(value)) if !value.contains(':') => {
            return Err(Fault::at(number, format!("invalid so_keepalive value: \"{value}\"")));
        }
        ("ssl" | "http2" | "spdy" | "quic" | "proxy_protocol" | "deferred" | "multipath", None)
        | ("setfib" | "fastopen" | "rcvbuf" | "sndbuf" | "accept_filter" | "so_keepalive", Some(_)) => {
            return Err(directive.unsupported_parameter(number));
        }
        _ => return Err(directive.invalid_parameter(number)),
    }
    listen.sets_options = true;
    Ok(())
}

fn ipv6only(listen: &Listen, value: &str, number: usize) -> Result<bool, Fault> {
    if !matches!(listen.addr, ListenAddr::Inet(SocketAddr::V6(_))) {
        let message = format!("ipv6only is not supported on addr \"{}\", ignored", Shown(&listen.addr));
        return Err(Fault::at(number, message.trim_end_matches(", ignored")));
    }
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(Fault::at(number, format!("invalid ipv6only flags \"{value}\""))),
    }
}

/// Finds what several servers say differently about one address.
pub(crate) fn check_conflicts(world: &mut World) {
    let mut with_options: HashMap<&ListenAddr, &Listen> = HashMap::new();
    let mut defaults: HashMap<&ListenAddr, &Listen> = HashMap::new();
    let mut found = Vec::new();
    for listen in world.servers.iter().flat_map(|server| &server.listens) {
        if listen.sets_options && with_options.insert(&listen.addr, listen).is_some() {
            found.push((listen, format!("duplicate listen options for {}", Shown(&listen.addr))));
        }
        if listen.default_server && defaults.insert(&listen.addr, listen).is_some() {
            found.push((listen, format!("a duplicate default server for {}", Shown(&listen.addr))));
        }
    }
    let diagnostics = found.into_iter().map(|(listen, message)| Diagnostic {
        level: Level::Emerg,
        message,
        place: Some(listen.place.clone()),
        span: None,
        suggestion: None,
        order: usize::MAX,
    });
    let diagnostics: Vec<_> = diagnostics.collect();
    world.diagnostics.extend(diagnostics);
}

/// An address as nginx prints it.
pub(crate) struct Shown<'a>(pub(crate) &'a ListenAddr);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ListenAddr::Inet(addr) => write!(f, "{addr}"),
            ListenAddr::Host(host, port) => write!(f, "{host}:{port}"),
            ListenAddr::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
