//! `Location` and `Refresh`: the upstream's addresses become the client's (`proxy_redirect`).

use crate::exchange::Exchange;
use crate::exchange::respond::absolute;
use culvert_conf::config::{LocationKind, ProxyPass, ProxyRedirect, ProxyTarget, ProxyUri, RedirectRule};

/// What the upstream's `Location` becomes.
pub(super) fn rewrite_location(exchange: &Exchange, pass: &ProxyPass, value: &[u8]) -> Vec<u8> {
    match rewrite(exchange, pass, value) {
        Some(rewritten) => absolute(exchange, rewritten),
        None => value.to_vec(),
    }
}

/// What the upstream's `Refresh` becomes: the address behind `url=` is rewritten.
pub(super) fn rewrite_refresh(exchange: &Exchange, pass: &ProxyPass, value: &[u8]) -> Vec<u8> {
    let lower = value.to_ascii_lowercase();
    let Some(start) = lower.windows(4).position(|window| window == b"url=").map(|at| at + 4) else {
        return value.to_vec();
    };
    match rewrite(exchange, pass, &value[start..]) {
        Some(rewritten) => [&value[..start], &rewritten].concat(),
        None => value.to_vec(),
    }
}

fn rewrite(exchange: &Exchange, pass: &ProxyPass, value: &[u8]) -> Option<Vec<u8>> {
    let ProxyRedirect::Rules(rules) = &exchange.location.proxy.redirect else { return None };
    rules.iter().find_map(|rule| match rule {
        RedirectRule::Default => rewrite_default(exchange, pass, value),
        RedirectRule::Prefix(from, to) => {
            let rest = value.strip_prefix(&exchange.render(from)[..])?;
            Some([&exchange.render(to), rest].concat())
        }
        RedirectRule::Regex { pattern, replacement, assigns } => {
            let captures = pattern.captures(value).ok().flatten()?;
            *exchange.captures.borrow_mut() = captures;
            exchange.assign(assigns);
            Some(exchange.render(replacement))
        }
    })
}

/// `default`: from the address of `proxy_pass` to the location's name.
fn rewrite_default(exchange: &Exchange, pass: &ProxyPass, value: &[u8]) -> Option<Vec<u8>> {
    let ProxyTarget::Upstream { uri, .. } = &pass.target else { return None };
    match uri {
        ProxyUri::Unchanged => {
            let rest = value.strip_prefix(pass.url.as_bytes())?.strip_prefix(b"/")?;
            Some([b"/", rest].concat())
        }
        ProxyUri::Replace(_) => {
            let rest = value.strip_prefix(pass.url.as_bytes())?;
            let name = match exchange.location.kind {
                LocationKind::Exact | LocationKind::Prefix => exchange.location.name.as_bytes(),
                _ => return None,
            };
            Some([name, rest].concat())
        }
    }
}
