//! Whether a request wants to become a tunnel, and what is written for it.

use crate::exchange::Exchange;
use crate::io::clock::now;
use crate::upstream::Purpose;
use culvert_conf::config::{Deflate, Level, WebSocketSettings};
use culvert_engine::http1::Headers;
use culvert_engine::websocket::{Offer, Session, accept_for, has_token};
use std::borrow::Cow;

/// What the request to the upstream says about upgrading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nothing.
    None,
    /// The configuration forwards `Upgrade` itself, as nginx's recipe does; a 101 opens a tunnel.
    Forwarded,
    /// A valid RFC 6455 handshake: the gateway writes its own `Upgrade: websocket` and `Connection: upgrade`.
    WebSocket,
}

/// What the client and the location want together.
pub(super) fn wish(exchange: &Exchange) -> Wish {
    let headers = &exchange.request.head.headers;
    // The answer to a subrequest goes nowhere, so it can't be a tunnel.
    let Some(upgrade) = headers.first("upgrade").filter(|_| !exchange.is_subrequest) else { return Wish::None };
    let proxy = &exchange.location.proxy;
    let forwards = |name: &[u8]| proxy.set_headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    if forwards(b"upgrade") {
        return if is_h2c(upgrade) { Wish::None } else { Wish::Forwarded };
    }
    if proxy.websocket && is_handshake(exchange) { Wish::WebSocket } else { Wish::None }
}

/// `h2c` is never forwarded: behind a 101 to it, requests would pass unseen (request smuggling).
pub(super) fn is_h2c(upgrade: &[u8]) -> bool {
    has_token(upgrade, "h2c")
}

fn is_handshake(exchange: &Exchange) -> bool {
    let head = &exchange.request.head;
    let mut offer = Offer { method: exchange.request.method(), http_1_1: head.minor > 0, ..Offer::default() };
    // In one pass, in which most lines differ by the length of their names already.
    for line in head.headers.lines() {
        let is = |name: &str| line.name().eq_ignore_ascii_case(name.as_bytes());
        let place = match line.name().len() {
            4 if is("host") => {
                offer.host = true;
                continue;
            }
            7 if is("upgrade") => &mut offer.upgrade,
            10 if is("connection") && has_token(line.value(), "upgrade") => &mut offer.connection,
            17 if is("sec-websocket-key") => &mut offer.key,
            21 if is("sec-websocket-version") => &mut offer.version,
            _ => continue,
        };
        // Of several, the first counts.
        place.get_or_insert(line.value());
    }
    offer.is_handshake()
}

/// What the request is to its connection.
pub(super) fn purpose(exchange: &Exchange, wish: Wish) -> Purpose {
    match wish {
        Wish::None => Purpose::Plain,
        Wish::WebSocket => Purpose::WebSocket,
        Wish::Forwarded if is_handshake(exchange) => Purpose::WebSocket,
        Wish::Forwarded => Purpose::Upgrade,
    }
}

/// Whether an upstream's 101 accepts the handshake (RFC 6455 section 4.1).
pub(super) fn is_accepted(exchange: &Exchange, answer: &Headers) -> bool {
    let key = exchange.request.head.headers.first("sec-websocket-key").unwrap_or_default();
    answer.first("upgrade").is_some_and(|upgrade| has_token(upgrade, "websocket"))
        && answer.first("sec-websocket-accept").is_some_and(|accept| accept == accept_for(key))
}

/// Whether the handshake is about a WebSocket, so that the location's `websocket_*` directives apply.
pub(super) fn is_websocket(exchange: &Exchange) -> bool {
    exchange.request.head.headers.first("upgrade").is_some_and(|upgrade| has_token(upgrade, "websocket"))
}

/// Whether the location's rules let this handshake through. The error is the status to answer with.
pub(super) fn admit(exchange: &Exchange) -> Result<(), u16> {
    let settings = &exchange.location.websocket;
    let has_rules = settings.origins.is_some() || settings.subprotocols.is_some();
    if !has_rules || !is_websocket(exchange) {
        return Ok(());
    }
    admit_origin(exchange)?;
    admit_subprotocols(exchange)
}

/// `websocket_subprotocols`: an offer of which nothing is allowed can't end well.
fn admit_subprotocols(exchange: &Exchange) -> Result<(), u16> {
    const NAME: &str = "sec-websocket-protocol";
    let mut offers = exchange.request.head.headers.all(NAME).peekable();
    let settings = &exchange.location.websocket;
    if offers.peek().is_none() || offers.any(|value| offer(settings, NAME.as_bytes(), value).is_some()) {
        return Ok(());
    }
    exchange.log(Level::Warn, "a WebSocket is refused: it offers no subprotocol that is allowed");
    Err(403)
}

/// `websocket_origin`: whether the page that asks may. Cookies are sent along with a handshake from any page, so a server
/// that trusts them trusts every page (cross-site WebSocket hijacking).
fn admit_origin(exchange: &Exchange) -> Result<(), u16> {
    let Some(rule) = &exchange.location.websocket.origins else { return Ok(()) };
    let mut origins = exchange.request.head.headers.all("origin");
    let (origin, is_single) = (origins.next(), origins.next().is_none());
    if is_single && rule.allows(origin) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(origin.unwrap_or(b"-")).into_owned();
    let verdict = if rule.report_only { "would be refused" } else { "is refused" };
    exchange.log(Level::Warn, format_args!("a WebSocket from origin \"{shown}\" {verdict}"));
    if rule.report_only { Ok(()) } else { Err(403) }
}

/// What becomes of a header of the client's handshake: the offers that the location allows. `None` drops the line.
pub(super) fn offer<'v>(settings: &WebSocketSettings, name: &[u8], value: &'v [u8]) -> Option<Cow<'v, [u8]>> {
    let offered = match (&settings.subprotocols, settings.deflate) {
        (Some(allowed), _) if name.eq_ignore_ascii_case(b"sec-websocket-protocol") => {
            let is_allowed = |offer: &&[u8]| allowed.iter().any(|allowed| allowed.as_bytes() == *offer);
            items(value).filter(is_allowed).collect::<Vec<_>>().join(&b", "[..])
        }
        (_, Deflate::Refuse) if is_extensions(name) => {
            items(value).filter(|offer| !is_deflate(offer)).collect::<Vec<_>>().join(&b", "[..])
        }
        (_, Deflate::Cap { client_max_window_bits, server_max_window_bits, no_context_takeover })
            if is_extensions(name) =>
        {
            let cap = |offer: &[u8]| match is_deflate(offer) {
                true => capped(offer, client_max_window_bits, server_max_window_bits, no_context_takeover),
                false => offer.to_vec(),
            };
            items(value).map(cap).collect::<Vec<_>>().join(&b", "[..])
        }
        _ => return Some(Cow::Borrowed(value)),
    };
    (!offered.is_empty()).then_some(Cow::Owned(offered))
}

/// What looks at the frames of the tunnel that the upstream has just agreed to; `None` where nothing is to. The request was
/// a `handshake` of RFC 6455, or was not.
pub(super) fn session(exchange: &Exchange, handshake: bool) -> Option<Session> {
    let settings = &exchange.location.websocket;
    let answered = exchange.upstream_headers.first("upgrade");
    if !settings.frames || !handshake || !answered.is_some_and(|upgrade| has_token(upgrade, "websocket")) {
        return None;
    }
    let compressed = chose_deflate(&exchange.upstream_headers);
    let now = now().into_std();
    Some(Session::new(settings.policy.clone(), compressed, now, &mut rand::random::<u64>))
}

fn is_extensions(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"sec-websocket-extensions")
}

fn items(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|item| !item.is_empty())
}

/// Whether an offered or chosen extension is permessage-deflate (RFC 7692).
pub(super) fn is_deflate(extension: &[u8]) -> bool {
    let name = extension.split(|&b| b == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"permessage-deflate")
}

/// Whether the server has chosen permessage-deflate.
pub(super) fn chose_deflate(headers: &Headers) -> bool {
    headers.all("sec-websocket-extensions").flat_map(items).any(is_deflate)
}

/// An offer of permessage-deflate with windows that are no larger (RFC 7692 section 7.1.2). The client's window can be bounded
/// only if the client offers to have it bounded. What the client asks for is never raised: it would fail the connection.
fn capped(offer: &[u8], client: Option<u8>, server: Option<u8>, no_context_takeover: bool) -> Vec<u8> {
    let parameters = || offer.split(|&b| b == b';').skip(1).map(<[u8]>::trim_ascii).filter(|item| !item.is_empty());
    let is_missing = |name: &str| !parameters().any(|parameter| is_parameter(parameter, name));
    let mut out = b"permessage-deflate".to_vec();
    let mut push = |parameter: &[u8]| {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(parameter);
    };
    for parameter in parameters() {
        let client = client.filter(|_| is_parameter(parameter, CLIENT_BITS));
        let server = server.filter(|_| is_parameter(parameter, SERVER_BITS));
        match client.or(server) {
            Some(cap) => push(&lowered(parameter, cap)),
            None => push(parameter),
        }
    }
    if let Some(bits) = server.filter(|_| is_missing(SERVER_BITS)) {
        push(format!("{SERVER_BITS}={bits}").as_bytes());
    }
    for name in ["server_no_context_takeover", "client_no_context_takeover"] {
        if no_context_takeover && is_missing(name) {
            push(name.as_bytes());
        }
    }
    out
}

const CLIENT_BITS: &str = "client_max_window_bits";
const SERVER_BITS: &str = "server_max_window_bits";

/// A parameter's name and its value, which may stand in quotes (RFC 6455 section 9.1).
fn name_and_value(parameter: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = parameter.splitn(2, |&b| b == b'=').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let value = parts.next().map(|value| match value {
        [b'"', unquoted @ .., b'"'] => unquoted,
        value => value,
    });
    (name, value)
}

fn is_parameter(parameter: &[u8], name: &str) -> bool {
    name_and_value(parameter).0.eq_ignore_ascii_case(name.as_bytes())
}

/// A parameter with at most `cap` bits. One that makes no sense stays as it is, for the server to decline.
fn lowered(parameter: &[u8], cap: u8) -> Cow<'_, [u8]> {
    let (name, value) = name_and_value(parameter);
    let bits = match value {
        Some(value) => str::from_utf8(value).ok().and_then(|value| value.parse::<u8>().ok()),
        None => Some(cap),
    };
    match bits {
        Some(bits) => Cow::Owned([name, format!("={}", bits.min(cap)).as_bytes()].concat()),
        None => Cow::Borrowed(parameter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_of_compression_is_capped_within_what_the_client_offers() {
        let cap = |offer: &[u8]| String::from_utf8(capped(offer, Some(10), Some(11), true)).expect("ASCII");
        assert_eq!(
            cap(b"permessage-deflate; client_max_window_bits"),
            "permessage-deflate; client_max_window_bits=10; server_max_window_bits=11; server_no_context_takeover; client_no_context_takeover"
        );
        assert!(!cap(b"permessage-deflate").contains("client_max_window_bits"));
    }

    #[test]
    fn a_cap_raises_nothing_and_leaves_alone_what_it_does_not_know() {
        let cap =
            |offer: &[u8], client, server| String::from_utf8(capped(offer, client, server, false)).expect("ASCII");
        let offer = b"permessage-deflate;Server_Max_Window_Bits = 9 ; client_max_window_bits=\"10\";";
        assert_eq!(
            cap(offer, Some(12), Some(13)),
            "permessage-deflate; Server_Max_Window_Bits=9; client_max_window_bits=10"
        );
        assert_eq!(
            cap(offer, Some(8), None),
            "permessage-deflate; Server_Max_Window_Bits = 9; client_max_window_bits=8"
        );
        let strange = b"permessage-deflate; client_max_window_bits=many; colour=red; server_no_context_takeover";
        assert_eq!(cap(strange, Some(12), None).as_bytes(), strange);
    }
}
