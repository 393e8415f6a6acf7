//! One request and its response, from the chosen server to the outcome.
//!
//! [`serve`] is the story: steps lead to steps. What a step does is in a folder of its own, in the order in which a request
//! meets them: `request` (what was asked, and whether it may be), `route` (where it goes: server, location, rewriting, internal
//! redirects, error pages), `access` (whether it may go there), then what answers: `proxy` or `content`. The answer leaves by
//! `respond`, through the filters of `filter`. [`phases`] has nginx's order within a location, [`client`] what a front has to
//! do for all of this.

pub(crate) mod access;
mod circumstances;
pub(crate) mod client;
mod content;
mod filter;
mod outcome;
mod phases;
mod proxy;
mod request;
mod respond;
mod route;
mod subrequest;
mod variables;

pub(crate) use client::{Client, ClientFacts};
pub(crate) use content::reason;
pub(crate) use proxy::{Try, Whom};
pub(crate) use request::Request;
pub(crate) use request::secure::render_for_handshake;

use crate::io::TcpInfo;
use crate::lifecycle::Generation;
use crate::observe::metrics::{self, Held, Tally};
use crate::tunnel::Opening;
use culvert_conf::config::{Level, Location, ProxyName, Server};
use culvert_engine::http1::{BodyLength, Headers, RequestHead};
use culvert_engine::pattern::Captures;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use tokio::time::Instant;

/// One request on its way through the gateway.
pub(crate) struct Exchange {
    pub(crate) generation: Arc<Generation>,
    pub(crate) client: Arc<ClientFacts>,
    pub(crate) server: Arc<Server>,
    pub(crate) location: Arc<Location>,
    pub(crate) request: Request,
    /// What the response was, as far as it got.
    pub(crate) sent: Sent,
    /// One entry per upstream server that was tried.
    pub(crate) tries: Vec<Try>,
    /// `$proxy_host` and `$proxy_port`, once a `proxy_pass` was reached.
    proxied: Option<Arc<ProxyName>>,
    /// Whether that was one to `https://`.
    proxied_by_tls: bool,
    /// The head of the last upstream response.
    upstream_headers: Headers,
    upstream_trailers: Headers,
    /// What the response with an `X-Accel-Redirect` leaves to the one that follows.
    carried: Headers,
    /// What log lines say that is going on, where a step that knows does not write them itself.
    doing: &'static str,
    /// What the kernel knows of the client connection, where the configuration asks for it (`$tcpinfo_rtt`).
    tcp_info: Option<TcpInfo>,
    /// How the body of the last request to an upstream was framed.
    body_out: BodyLength,
    /// The values of the configuration's own variables; none at all before one has a value.
    slots: RefCell<Vec<Option<Box<[u8]>>>>,
    /// The groups of the last regular expression that matched.
    captures: RefCell<Captures>,
    /// How many maps deep the evaluation is, so that a cycle of maps ends.
    depth: Cell<u8>,
    /// The status that error pages answer with, where it is not their own.
    forced_status: Option<u16>,
    error_page_used: bool,
    /// How often the URI may still change and a location be chosen anew.
    changes_left: u8,
    /// The rewrite steps changed the URI, so that its location is to be chosen anew.
    uri_changed: bool,
    /// An `if` with a `proxy_pass` held, and then one that has none, in a location that has none: nginx still hands the
    /// request on, to nowhere.
    upstream_is_lost: bool,
    /// `Location` of the next response of the gateway's own.
    redirect_to: Option<Vec<u8>>,
    /// `$limit_rate`, where a `set` gave it a value: bytes per second, 0 for no limit.
    limit_rate: Option<u64>,
    /// What is added to the body of the response that comes next.
    additions: Option<Box<filter::Additions>>,
    /// Bytes that went into and came out of the compressor.
    gzip_ratio: Option<(u64, u64)>,
    /// The length of what a 416 found no part of.
    unsatisfied_length: Option<u64>,
    /// How many tries there were before the last internal redirect.
    redirected_after: usize,
    /// Whether the log line was written, or handed to the tunnel that writes it.
    outcome_told: bool,
    /// What limits and rules of access have decided.
    pub(crate) ledger: access::Ledger,
    /// The gateway's own question on behalf of another request.
    pub(crate) is_subrequest: bool,
    /// `$connections_writing` counts it.
    _writing: Option<Held>,
}

/// What was sent to the client.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// The status; 0 before a head was sent.
    pub(crate) status: u16,
    /// What it said of the connection.
    pub(crate) connection: &'static str,
    /// The head's lines.
    pub(crate) headers: Headers,
    /// `Content-Length` of the head.
    pub(crate) content_length: Option<u64>,
    /// Whether a body followed.
    pub(crate) has_body: bool,
    /// Whether the body was sent whole.
    pub(crate) complete: bool,
    /// Bytes in all.
    pub(crate) bytes: u64,
    /// Bytes of the head.
    pub(crate) head_bytes: u64,
}

/// What comes after a step. Two words, which steps hand from one to the next as such: of a narrower tag and a status beside it
/// the compiler makes odd pieces, and the processor waits for them.
#[repr(u64)]
pub(crate) enum Next {
    /// Run the server block's own rewrite steps: how a request begins, and begins again after an internal redirect.
    EnterServer,
    /// Choose the location of the current URI.
    Locate,
    /// Run the location's own rewrite steps, its rules of access and its handler.
    Enter,
    /// Answer with this status: an error page or the built-in one.
    Status(u16),
    /// Answer with what is here.
    Reply(Box<content::Reply>),
    /// The response was relayed.
    Done,
    /// The request became a tunnel.
    Tunnel(Box<Opening>),
    /// Nothing can or shall be answered: close.
    Close,
}

/// How an exchange left its client connection.
pub(crate) enum Served {
    /// The response is out.
    Answered,
    /// The streams go on as a tunnel.
    Tunnel(Box<Opening>),
    /// The connection is of no more use.
    Broken,
}

/// Serves one request from its head to its outcome.
pub(crate) async fn serve<C: Client>(exchange: &mut Exchange, client: &mut C, first: Next) -> Served {
    let client = &mut respond::Paced::new(client);
    exchange.look_at_connection(client);
    let mut next = first;
    let served = loop {
        next = match next {
            Next::EnterServer => phases::enter_server(exchange),
            Next::Locate => route::locate(exchange),
            Next::Enter => phases::enter(exchange, client).await,
            Next::Status(status) => route::error_page::answer(exchange, client, status),
            Next::Reply(reply) => content::reply::send(exchange, client, *reply).await,
            Next::Done => break Served::Answered,
            Next::Tunnel(opening) => break Served::Tunnel(opening),
            Next::Close => break Served::Broken,
        };
    };
    exchange.look_at_connection(client);
    exchange.sent.bytes = client.sent();
    exchange.request.received = client.received();
    served
}

impl Exchange {
    /// An exchange for `head`, in the server that the address and the host name choose. The second value is the first step:
    /// normally the server's own rewrite steps and location, or the status that a bad request is answered with.
    pub(crate) fn new(
        generation: Arc<Generation>,
        client: Arc<ClientFacts>,
        site: usize,
        head: Result<(RequestHead, BodyLength), (RequestHead, u16)>,
        began: Instant,
        nth: u64,
    ) -> (Box<Exchange>, Next) {
        let (head, body) = match head {
            Ok((head, body)) => (head, Ok(body)),
            Err((head, status)) => (head, Err(status)),
        };
        let mut request = Request::new(head, began, nth);
        let read = request.read(generation.default_server(site), body);
        let chosen = route::choose_server(&generation, site, request.host_is_read.then_some(&request.host[..]));
        let server = chosen.server;
        request.drop_invalid_headers(&server);
        let mut exchange = Exchange::bare(generation, client, server, request);
        *exchange.captures.get_mut() = chosen.captures.unwrap_or_default();
        exchange._writing = Some(Held::new(Tally::Writing));
        metrics::count(Tally::Requests);
        exchange.assign(&chosen.assigns);
        let first = match read {
            Ok(()) => {
                access::find_real_ip(&mut exchange);
                request::secure::check(&exchange).unwrap_or(Next::EnterServer)
            }
            Err(refusal) => {
                if let Some(message) = refusal.message {
                    exchange.log(Level::Info, message);
                }
                Next::Status(refusal.status)
            }
        };
        (exchange, first)
    }

    /// An exchange that nothing has been done for.
    fn bare(
        generation: Arc<Generation>,
        client: Arc<ClientFacts>,
        server: Arc<Server>,
        request: Request,
    ) -> Box<Exchange> {
        // Made where it is to be: it is a thousand bytes.
        Box::write(
            Box::new_uninit(),
            Exchange {
                location: server.root.clone(),
                slots: RefCell::default(),
                captures: RefCell::default(),
                generation,
                client,
                server,
                request,
                sent: Sent::default(),
                tries: Vec::new(),
                proxied: None,
                proxied_by_tls: false,
                upstream_headers: Headers::default(),
                upstream_trailers: Headers::default(),
                carried: Headers::default(),
                doing: "",
                tcp_info: None,
                body_out: BodyLength::None,
                depth: Cell::new(0),
                forced_status: None,
                error_page_used: false,
                changes_left: route::internal::CHANGES_MAX,
                uri_changed: false,
                upstream_is_lost: false,
                redirect_to: None,
                limit_rate: None,
                additions: None,
                gzip_ratio: None,
                unsatisfied_length: None,
                redirected_after: 0,
                outcome_told: false,
                ledger: access::Ledger::default(),
                is_subrequest: false,
                _writing: None,
            },
        )
    }

    /// Ends the exchange with a redirect to `location`, unless an `error_page` answers in place of it.
    fn redirect(&mut self, status: u16, location: Vec<u8>) -> Next {
        self.redirect_to = Some(location);
        Next::Status(status)
    }

    fn look_at_connection<C: Client>(&mut self, client: &C) {
        if self.generation.config.http.asks_tcp_info {
            self.tcp_info = client.tcp_info();
        }
    }

    /// Lets a client go that took too long, or that is not worth an answer (`reset_timedout_connection`).
    fn give_up<C: Client>(&self, client: &mut C) -> Next {
        if self.location.client.reset_timedout_connection {
            client.reset_at_end();
        }
        Next::Close
    }

    /// The request's method is HEAD, so that no response has a body.
    pub(crate) fn is_head(&self) -> bool {
        self.request.is_head
    }
}

#[cfg(test)]
mod tests;
