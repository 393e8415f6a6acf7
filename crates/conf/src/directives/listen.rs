//! `listen`.

use crate::address::{self, Host, Purpose};
use crate::config::{Listen, ListenAddr, Place};
use crate::diagnostic::Fault;
use crate::scope::Scope;
use crate::syntax::Directive;
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
        proxy_protocol: false,
        backlog: None,
        reuseport: false,
        ipv6only: None,
        so_keepalive: None,
        ssl: false,
        http2: false,
        sets_options: false,
        place,
    }
}

pub(crate) fn listen(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let addrs = addresses(directive.arg(1))
        .map_err(|why| Fault::at(1, format!("{why} in \"{}\" of the \"listen\" directive", directive.arg(1))))?;
    let mut options = plain(addrs[0].clone(), directive.place.clone());
    for number in 2..=directive.args().len() {
        option(&mut options, directive, number)?;
    }
    if options.http2 {
        let message = "the \"listen ... http2\" directive is deprecated, use the \"http2\" directive instead";
        scope.warn(directive, Fault::new(message));
    }
    for addr in addrs {
        if scope.server.listens.iter().any(|known| known.addr == addr) {
            return Err(Fault::at(1, format!("a duplicate listen {}", Shown(&addr))));
        }
        let listen = Listen { addr, ..options.clone() };
        check_others(scope, &listen)?;
        scope.server.listens.push(listen);
    }
    Ok(())
}

/// What two servers must not both say about one address.
fn check_others(scope: &Scope<'_>, listen: &Listen) -> Result<(), Fault> {
    let mut others =
        scope.world.servers.iter().flat_map(|server| &server.listens).filter(|other| other.addr == listen.addr);
    if listen.sets_options && others.clone().any(|other| other.sets_options) {
        return Err(Fault::at(1, format!("duplicate listen options for {}", Shown(&listen.addr))));
    }
    if listen.default_server && others.any(|other| other.default_server) {
        return Err(Fault::at(1, format!("a duplicate default server for {}", Shown(&listen.addr))));
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
        // These are about what is spoken, not about the socket: they may stand in each server's line.
        ("ssl", None) => {
            listen.ssl = true;
            return Ok(());
        }
        ("http2", None) => {
            listen.http2 = true;
            return Ok(());
        }
        ("proxy_protocol", None) => {
            listen.proxy_protocol = true;
            return Ok(());
        }
        ("bind", None) => {}
        ("reuseport", None) => listen.reuseport = true,
        ("backlog", Some(value)) => {
            let backlog = value.parse().ok().filter(|&backlog: &i32| backlog > 0);
            let fault = || Fault::at(number, format!("invalid backlog \"{text}\""));
            listen.backlog = Some(backlog.ok_or_else(fault)?);
        }
        ("ipv6only", Some("on")) => listen.ipv6only = Some(true),
        ("ipv6only", Some("off")) => listen.ipv6only = Some(false),
        ("so_keepalive", Some("on")) => listen.so_keepalive = Some(true),
        ("so_keepalive", Some("off")) => listen.so_keepalive = Some(false),
        ("so_keepalive", Some(value)) if !value.contains(':') => {
            return Err(Fault::at(number, format!("invalid so_keepalive value: \"{value}\"")));
        }
        ("spdy" | "quic" | "deferred" | "multipath", None)
        | ("setfib" | "fastopen" | "rcvbuf" | "sndbuf" | "accept_filter" | "so_keepalive", Some(_)) => {
            return Err(directive.unsupported_parameter(number));
        }
        _ => return Err(directive.invalid_parameter(number)),
    }
    listen.sets_options = true;
    Ok(())
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
