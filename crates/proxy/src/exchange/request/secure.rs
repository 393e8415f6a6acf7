//! What TLS asks of a request before anything else does: that it came encrypted, for the server that the handshake was made
//! with, from a client whose certificate is good.

use crate::exchange::{ClientFacts, Exchange, Next, route};
use crate::lifecycle::Generation;
use crate::tls::TlsFacts;
use culvert_conf::config::{Level, VerifyClient};
use culvert_engine::http1::RequestHead;
use culvert_engine::template::Template;
use std::sync::Arc;
use tokio::time::Instant;

/// nginx's own statuses for what clients see as 400.
const CERTIFICATE_IS_BAD: u16 = 495;
const CERTIFICATE_IS_MISSING: u16 = 496;
const PLAIN_TO_TLS: u16 = 497;

const READING: &str = "while reading client request headers";

/// Refuses a request that came as it must not. `None` for all others.
pub(in crate::exchange) fn check(exchange: &Exchange) -> Option<Next> {
    let client = &exchange.client;
    if client.is_plain_to_tls {
        exchange.log(Level::Info, format_args!("client sent plain HTTP request to HTTPS port {READING}"));
        return Some(Next::Status(PLAIN_TO_TLS));
    }
    let tls = client.tls.as_deref()?;
    let verify = exchange.server.tls.verify_client;
    if verify == VerifyClient::Off {
        return None;
    }
    if tls.chosen_name().is_some_and(|name| name.as_bytes() != &*exchange.request.host) {
        let message = "client attempted to request the server name different from the one that was negotiated";
        exchange.log(Level::Info, format_args!("{message} {READING}"));
        return Some(Next::Status(421));
    }
    check_certificate(exchange, tls, verify)
}

fn check_certificate(exchange: &Exchange, tls: &TlsFacts, verify: VerifyClient) -> Option<Next> {
    let flaw = tls.flaw().filter(|flaw| verify != VerifyClient::OptionalNoCa || !flaw.is_about_authorities());
    if let Some(flaw) = flaw {
        let (code, text) = (flaw.code, flaw.text);
        exchange.log(Level::Info, format_args!("client SSL certificate verify error: ({code}:{text}) {READING}"));
        return Some(Next::Status(CERTIFICATE_IS_BAD));
    }
    if verify == VerifyClient::On && !tls.has_certificate() {
        exchange.log(Level::Info, format_args!("client sent no required SSL certificate {READING}"));
        return Some(Next::Status(CERTIFICATE_IS_MISSING));
    }
    None
}

/// The text of a certificate's path for a handshake, of which the name that the client asked for is known.
pub(crate) fn render_for_handshake(
    generation: &Arc<Generation>,
    facts: &ClientFacts,
    name: Option<&str>,
    site: usize,
    template: &Template,
) -> Vec<u8> {
    let mut client = ClientFacts::new(facts.serial, facts.remote, facts.local);
    client.tls = Some(Arc::new(TlsFacts::of_name(name)));
    let head = RequestHead::salvage(b"");
    let (mut exchange, _) =
        Exchange::new(generation.clone(), Arc::new(client), site, Err((head, 400)), Instant::now(), 0);
    // It is no request, so there is nothing to log.
    exchange.outcome_told = true;
    exchange.server = route::choose_server(generation, site, name.map(str::as_bytes)).server;
    exchange.render(template)
}
