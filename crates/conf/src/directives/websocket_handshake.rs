//! Who may open a WebSocket, and what may be negotiated.

use crate::config::{Deflate, OriginPattern, OriginRule};
use crate::diagnostic::Fault;
use crate::registry::{Arity, Contexts, Row};
use crate::scope::Scope;
use crate::syntax::Directive;
use crate::units;

/// The rows of this file.
pub(crate) const ROWS: &[Row] = &[
    Row::new("websocket_deflate", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), deflate).own().default("pass").doc(
        "What becomes of a client's offer of compression (permessage-deflate, RFC 7692): `pass` leaves it alone, \
         `refuse` takes it out, and `cap` limits it by `client_max_window_bits=n`, `server_max_window_bits=n` (8 to 15) \
         and `no_context_takeover`, which bounds the memory that both sides spend.",
    ),
    Row::new("websocket_origin", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), origin).own().default("any").doc(
        "The origins whose pages may open a WebSocket, against cross-site WebSocket hijacking: `https://example.com`, \
         with a port if it is not the scheme's own; `https://*.example.com` for all subdomains; `null`; `none` for \
         requests without an `Origin`, as clients send that are no browsers. A handshake from elsewhere is answered 403. \
         `report` in front of them only logs it.",
    ),
    Row::new("websocket_subprotocols", Contexts::HTTP_TO_LOCATION, Arity::AtLeast(1), subprotocols)
        .own()
        .default("any")
        .doc(
            "The subprotocols that may be negotiated. Others are taken out of a client's offer; if none remains of an \
             offer, the handshake is answered 403. One that offers none passes.",
        ),
];

fn origin(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if directive.arg(1) == "any" && directive.args().len() == 1 {
        scope.websocket().origins = None;
        return Ok(());
    }
    let report_only = directive.arg(1) == "report";
    let first = if report_only { 2 } else { 1 };
    if directive.args().len() < first {
        return Err(Fault::new("invalid number of arguments in \"websocket_origin\" directive"));
    }
    let numbers = first..=directive.args().len();
    let allowed = numbers.map(|number| origin_pattern(directive, number)).collect::<Result<Vec<_>, Fault>>()?;
    scope.websocket().origins = Some(OriginRule { allowed, report_only });
    Ok(())
}

fn origin_pattern(directive: &Directive, number: usize) -> Result<OriginPattern, Fault> {
    let text = directive.arg(number);
    let invalid = |hint: &str| Err(Fault::at(number, format!("invalid origin \"{text}\"")).hint(hint));
    match text {
        "none" => return Ok(OriginPattern::Absent),
        "null" => return Ok(OriginPattern::Exact("null".into())),
        "any" | "report" => return invalid("\"any\" stands alone, \"report\" in front of the origins"),
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    let Some((scheme, authority)) = lower.split_once("://") else {
        return invalid("an origin has a scheme, as in \"https://example.com\"");
    };
    if authority.contains(['/', '?', '#', '@']) {
        return invalid("an origin is a scheme, a host and perhaps a port, nothing more");
    }
    let Some((host, port)) = host_and_port(scheme, authority).filter(|_| is_scheme(scheme)) else {
        return invalid("an origin is a scheme, a host and perhaps a port");
    };
    let (domain, below) = host.strip_prefix("*.").map_or((host, false), |domain| (domain, true));
    let is_address = domain.starts_with('[');
    let Some(domain) = host_as_sent(domain).filter(|_| !(below && is_address)) else {
        return invalid(match domain.contains('*') || below {
            true => "an asterisk stands for the first labels of a host, as in \"https://*.example.com\"",
            false => "this is not how a host is written",
        });
    };
    Ok(match below {
        true => {
            let (scheme, suffix) = (format!("{scheme}://").into(), format!(".{domain}{port}").into());
            OriginPattern::Subdomains { scheme, suffix }
        }
        false => OriginPattern::Exact(format!("{scheme}://{domain}{port}").into()),
    })
}

/// The host, and the port with its colon unless it is the scheme's own, which browsers leave out.
fn host_and_port<'a>(scheme: &str, authority: &'a str) -> Option<(&'a str, String)> {
    let colon = authority.rfind(':').filter(|&at| !authority[at..].contains(']'));
    let Some((host, port)) = colon.map(|at| (&authority[..at], &authority[at + 1..])) else {
        return Some((authority, String::new()));
    };
    let port = units::number(port).and_then(|port| u16::try_from(port).ok()).filter(|&port| port > 0)?;
    let is_own = matches!((scheme, port), ("http" | "ws", 80) | ("https" | "wss", 443));
    Some((host, if is_own { String::new() } else { format!(":{port}") }))
}

/// RFC 3986 section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// A name or an IPv4 address as it is, an IPv6 address in brackets in its shortest form; nothing for anything else.
fn host_as_sent(text: &str) -> Option<String> {
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inside.parse::<std::net::Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    text.split('.').all(is_label).then(|| text.to_owned())
}

fn subprotocols(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    if directive.arg(1) == "any" && directive.args().len() == 1 {
        scope.websocket().subprotocols = None;
        return Ok(());
    }
    let mut names: Vec<Box<str>> = Vec::new();
    for (index, word) in directive.args().iter().enumerate() {
        let name = word.text.as_str();
        if name == "any" || !is_token(name) {
            return Err(Fault::at(index + 1, format!("invalid subprotocol \"{name}\"")));
        }
        if names.iter().any(|known| **known == *name) {
            scope.warn(directive, Fault::at(index + 1, format!("duplicate value \"{name}\"")));
            continue;
        }
        names.push(name.into());
    }
    scope.websocket().subprotocols = Some(names.into());
    Ok(())
}

/// RFC 9110 section 5.6.2, which RFC 6455 section 4.1 asks of subprotocols.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn deflate(scope: &mut Scope<'_>, directive: &Directive) -> Result<(), Fault> {
    let is_alone = directive.args().len() == 1;
    scope.websocket().deflate = match directive.arg(1) {
        "cap" => cap(directive)?,
        "pass" | "refuse" if !is_alone => return Err(directive.invalid_parameter(2)),
        "pass" => Deflate::Pass,
        "refuse" => Deflate::Refuse,
        _ => return Err(directive.invalid_word(1)),
    };
    Ok(())
}

fn cap(directive: &Directive) -> Result<Deflate, Fault> {
    let (mut client_max_window_bits, mut server_max_window_bits, mut no_context_takeover) = (None, None, false);
    for number in 2..=directive.args().len() {
        let text = directive.arg(number);
        let is_duplicate = match text.split_once('=') {
            Some(("client_max_window_bits", bits)) => {
                client_max_window_bits.replace(window_bits(directive, number, bits)?).is_some()
            }
            Some(("server_max_window_bits", bits)) => {
                server_max_window_bits.replace(window_bits(directive, number, bits)?).is_some()
            }
            None if text == "no_context_takeover" => std::mem::replace(&mut no_context_takeover, true),
            _ => return Err(directive.invalid_parameter(number)),
        };
        if is_duplicate {
            return Err(Fault::at(number, format!("duplicate parameter \"{text}\"")));
        }
    }
    if directive.args().len() == 1 {
        return Err(Fault::at(1, "\"websocket_deflate cap\" has nothing to limit")
            .hint("it takes client_max_window_bits=n, server_max_window_bits=n and no_context_takeover"));
    }
    Ok(Deflate::Cap { client_max_window_bits, server_max_window_bits, no_context_takeover })
}

/// RFC 7692 section 7.1.2.
fn window_bits(directive: &Directive, number: usize, text: &str) -> Result<u8, Fault> {
    let bits = units::number(text).and_then(|bits| u8::try_from(bits).ok()).filter(|bits| (8..=15).contains(bits));
    bits.ok_or_else(|| directive.invalid_parameter(number))
}
