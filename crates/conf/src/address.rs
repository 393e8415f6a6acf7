//! Addresses as `listen`, `server` and `proxy_pass` write them: nginx's `ngx_parse_url`, without resolving names.

use std::net::Ipv6Addr;
use std::path::PathBuf;

/// An address taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: Host,
    /// The port, where one is written.
    pub(crate) port: Option<u16>,
    /// The last port of a range such as `8000-8010`, where the caller allows one.
    pub(crate) last_port: Option<u16>,
    /// What follows: a path or arguments, where the caller allows them.
    pub(crate) uri: String,
}

/// The host of an [`Address`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A name or an IPv4 address.
    Name(String),
    /// An IPv6 address that stood in brackets.
    V6(Ipv6Addr),
    /// `unix:` and a path.
    Unix(PathBuf),
    /// `*`, or no host at all (`listen 80`).
    Wildcard,
}

/// What may stand in an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A `listen` line: a port alone, `*`, a range of ports; no path.
    Listen,
    /// A `server` of an upstream: no path.
    Peer,
    /// A `proxy_pass`: a path may follow.
    Url,
}

/// `sun_path` of Linux.
const UNIX_PATH_BYTES_MAX: usize = 108;

/// Takes an address apart; the error is nginx's word for what is wrong.
pub(crate) fn parse(text: &str, purpose: Purpose) -> Result<Address, &'static str> {
    if text.get(..5).is_some_and(|head| head.eq_ignore_ascii_case("unix:")) {
        return parse_unix(&text[5..], purpose);
    }
    if let Some(rest) = text.strip_prefix('[') {
        return parse_v6(rest, purpose);
    }
    let (authority, uri) = split_uri(text, purpose)?;
    let Some((host, port)) = authority.split_once(':') else { return without_port(authority, uri, purpose) };
    let (port, last_port) = parse_ports(port, purpose)?;
    let host = match host {
        "" => return Err("no host"),
        "*" if purpose == Purpose::Listen => Host::Wildcard,
        _ => Host::Name(host.to_owned()),
    };
    Ok(Address { host, port: Some(port), last_port, uri })
}

fn without_port(authority: &str, uri: String, purpose: Purpose) -> Result<Address, &'static str> {
    let bare_port = authority.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && authority.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if purpose == Purpose::Listen && bare_port {
        let (port, last_port) = parse_ports(authority, purpose)?;
        return Ok(Address { host: Host::Wildcard, port: Some(port), last_port, uri });
    }
    let host = match authority {
        "" => return Err("no host"),
        "*" if purpose == Purpose::Listen => Host::Wildcard,
        _ => Host::Name(authority.to_owned()),
    };
    Ok(Address { host, port: None, last_port: None, uri })
}

fn parse_v6(rest: &str, purpose: Purpose) -> Result<Address, &'static str> {
    let (host, after) = rest.split_once(']').ok_or("invalid host")?;
    let (port, uri) = split_uri(after, purpose)?;
    if host.is_empty() {
        return Err("no host");
    }
    let (port, last_port) = match port.strip_prefix(':') {
        Some(port) => parse_ports(port, purpose).map(|(port, last)| (Some(port), last))?,
        None if port.is_empty() => (None, None),
        None => return Err("invalid host"),
    };
    let host = host.parse().map_err(|_| "invalid IPv6 address")?;
    Ok(Address { host: Host::V6(host), port, last_port, uri })
}

fn parse_unix(rest: &str, purpose: Purpose) -> Result<Address, &'static str> {
    let (path, uri) = match rest.split_once(':') {
        Some((path, uri)) if purpose == Purpose::Url => (path, uri),
        _ => (rest, ""),
    };
    if path.is_empty() {
        return Err("no path in the unix domain socket");
    }
    if path.len() >= UNIX_PATH_BYTES_MAX {
        return Err("too long path in the unix domain socket");
    }
    Ok(Address { host: Host::Unix(path.into()), port: None, last_port: None, uri: uri.to_owned() })
}

fn split_uri(text: &str, purpose: Purpose) -> Result<(&str, String), &'static str> {
    match text.find(['/', '?']) {
        None => Ok((text, String::new())),
        Some(at) if purpose == Purpose::Url => Ok((&text[..at], text[at..].to_owned())),
        Some(_) => Err("invalid host"),
    }
}

fn parse_ports(text: &str, purpose: Purpose) -> Result<(u16, Option<u16>), &'static str> {
    let one = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|&port: &u16| is_number && port > 0).ok_or("invalid port")
    };
    match text.split_once('-') {
        Some((first, last)) if purpose == Purpose::Listen => {
            let (first, last) = (one(first)?, one(last)?);
            if last < first { Err("invalid port range") } else { Ok((first, Some(last))) }
        }
        _ => Ok((one(text)?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str, purpose: Purpose) -> Result<(Host, Option<u16>, String), &'static str> {
        parse(text, purpose).map(|address| (address.host, address.port, address.uri))
    }

    #[test]
    fn listen_takes_ports_hosts_and_stars() {
        assert_eq!(host("8080", Purpose::Listen), Ok((Host::Wildcard, Some(8080), String::new())));
        assert_eq!(host("*:80", Purpose::Listen), Ok((Host::Wildcard, Some(80), String::new())));
        assert_eq!(host("::1", Purpose::Listen), Err("invalid port"));
        assert_eq!(host("[::1]:80", Purpose::Listen), Ok((Host::V6(Ipv6Addr::LOCALHOST), Some(80), String::new())));
        assert_eq!(host("a:0", Purpose::Listen), Err("invalid port"));
        assert_eq!(host("99999", Purpose::Listen), Err("invalid port"));
        assert_eq!(host("a/b", Purpose::Listen), Err("invalid host"));
        assert_eq!(parse("80-82", Purpose::Listen).map(|address| address.last_port), Ok(Some(82)));
    }

    #[test]
    fn a_url_may_have_a_path() {
        let name = |name: &str| Host::Name(name.into());
        assert_eq!(host("b/x?y", Purpose::Url), Ok((name("b"), None, "/x?y".into())));
        assert_eq!(host("b:1/x:2", Purpose::Url), Ok((name("b"), Some(1), "/x:2".into())));
        assert_eq!(host("b?y", Purpose::Url), Ok((name("b"), None, "?y".into())));
        assert_eq!(host("unix:/a:/x", Purpose::Url), Ok((Host::Unix("/a".into()), None, "/x".into())));
        assert_eq!(host("unix:", Purpose::Url), Err("no path in the unix domain socket"));
        assert_eq!(host(":80", Purpose::Url), Err("no host"));
        assert_eq!(host("[::1", Purpose::Url), Err("invalid host"));
        assert_eq!(host("[x]:1", Purpose::Url), Err("invalid IPv6 address"));
    }
}
