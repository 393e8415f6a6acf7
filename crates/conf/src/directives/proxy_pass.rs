//! `proxy_pass`.

use super::upstream_server::peer;
use crate::address::{self, Address, Host, Purpose};
use crate::config::{Handler, LocationKind, ProxyName, ProxyPass, ProxyTarget, ProxyUri, Upstream};
use crate::diagnostic::Fault;
use crate::registry::Contexts;
use crate::scope::Scope;
use crate::syntax::Directive;
use bytes::Bytes;
use std::sync::Arc;

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

pub(crate) fn proxy_pass(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let url = directive.arg(1);
    let target = if url.contains('$') {
        ProxyTarget::Variable(scope.template(directive, 1)?)
    } else {
        fixed(scope, directive, url)?
    };
    let pass = ProxyPass { target, url: url.to_owned(), place: directive.place.clone() };
    scope.location.handler = Handler::Proxy(Arc::new(pass));
    Ok(())
}

fn fixed(scope: &mut Scope<'_>, directive: &Directive, url: &str) -> Result<ProxyTarget, Fault> {
    let has = |scheme: &str| url.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    let (tls, rest) = match (has("http://"), has("https://")) {
        (true, _) => (false, &url["http://".len()..]),
        (_, true) => (true, &url["https://".len()..]),
        _ => return Err(Fault::at(1, "invalid URL prefix")),
    };
    let default_port = if tls { HTTPS_PORT } else { HTTP_PORT };
    let fault = |why: &str| Fault::at(1, format!("{why} in upstream \"{rest}\""));
    let address = address::parse(rest, Purpose::Url).map_err(fault)?;
    let is_unnamed = matches!(scope.location.kind, LocationKind::Regex(_) | LocationKind::Named)
        || scope.context.meets(Contexts::LOCATION_IF.and(Contexts::LIMIT_EXCEPT));
    if !address.uri.is_empty() && is_unnamed {
        return Err(Fault::at(
            1,
            "\"proxy_pass\" cannot have URI part in location given by regular expression, or inside named location, or \
             inside \"if\" statement, or inside \"limit_except\" block",
        ));
    }
    let authority = rest[..rest.len() - address.uri.len()].to_owned();
    let (host, port) = shown(&address, &authority, default_port);
    let name = Arc::new(ProxyName { host, port });
    let uri = match address.uri.as_str() {
        "" => ProxyUri::Unchanged,
        uri => ProxyUri::Replace(Bytes::copy_from_slice(uri.as_bytes())),
    };
    let upstream = find_upstream(scope, directive, address, authority, default_port)?;
    Ok(ProxyTarget::Upstream { upstream, uri, name, tls })
}

/// `$proxy_host` and `$proxy_port`: the default port is not part of the host.
fn shown(address: &Address, authority: &str, default_port: u16) -> (Bytes, Bytes) {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    if matches!(address.host, Host::Unix(_)) {
        return (text("localhost"), Bytes::new());
    }
    let port = address.port.unwrap_or(default_port).to_string();
    match (address.port, authority.rfind(':')) {
        (Some(port_given), Some(colon)) if port_given == default_port => (text(&authority[..colon]), text(&port)),
        (Some(_), Some(colon)) => (text(authority), text(&authority[colon + 1..])),
        _ => (text(authority), text(&port)),
    }
}

/// The upstream block of this name, or the implicit upstream for this host and port.
fn find_upstream(
    scope: &mut Scope<'_>,
    directive: &Directive,
    address: Address,
    authority: String,
    default_port: u16,
) -> Result<usize, Fault> {
    let key = (authority.clone(), default_port);
    if let Some(&known) = scope.world.passed_to.get(&key) {
        return Ok(known);
    }
    let found = look_for_upstream(scope, directive, address, authority, default_port)?;
    scope.world.passed_to.insert(key, found);
    Ok(found)
}

fn look_for_upstream(
    scope: &mut Scope<'_>,
    directive: &Directive,
    address: Address,
    authority: String,
    default_port: u16,
) -> Result<usize, Fault> {
    let name = match (&address.host, address.port) {
        (Host::Unix(_), _) => authority.trim_end_matches(':').to_owned(),
        (_, Some(_)) => authority[..authority.rfind(':').unwrap_or(authority.len())].to_owned(),
        _ => authority.clone(),
    };
    let upstreams = &mut scope.world.upstreams;
    let block = upstreams.iter().position(|known| !known.implicit && known.name.eq_ignore_ascii_case(&name));
    if let Some(index) = block {
        return match address.port {
            Some(port) => Err(Fault::at(1, format!("upstream \"{name}\" may not have port {port}"))),
            None => Ok(index),
        };
    }
    let place = directive.place.clone();
    let server = peer(address, authority.trim_end_matches(':').to_owned(), default_port, place.clone());
    let known = upstreams.iter().position(|known| known.implicit && known.servers[0].addr == server.addr);
    if let Some(index) = known {
        return Ok(index);
    }
    let mut implicit = Upstream::new(server.spec.name.to_string(), true, place);
    implicit.servers.push(server);
    upstreams.push(implicit);
    Ok(upstreams.len() - 1)
}
