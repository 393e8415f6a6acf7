//! One request and its response: the story from the chosen server to the outcome. Each step is a file of this folder.

mod accel;
pub(crate) mod access;
mod attempt;
mod body_in;
mod choose;
pub(crate) mod client;
mod content;
mod cookies;
mod error_page;
mod files;
mod files_test;
mod filter;
mod handshake;
mod internal;
mod keep_alive;
mod metrics_page;
mod mirror;
mod outcome;
mod paced;
mod phases;
mod proxy;
mod rate;
mod redirect;
mod relay;
mod request_in;
mod request_out;
mod respond;
mod response_in;
mod rewrite;
mod route;
mod secure;
mod server_tls;
mod source;
mod status;
mod status_page;
mod stick;
mod subrequest;
mod target;
mod tries;
mod try_files;
mod variables;

pub(crate) use client::Client;
pub(crate) use request_in::Request;
pub(crate) use secure::render_for_handshake;
pub(crate) use status::reason;
pub(crate) use tries::Try;

use crate::io::TcpInfo;
use crate::lifecycle::Generation;
use crate::observe::metrics::{self, Held, Tally};
use crate::tls::TlsFacts;
use crate::tunnel::Opening;
use crate::upstream::Endpoint;
use culvert_conf::config::{Level, Location, Server};
use culvert_engine::http1::{BodyLength, Headers, RequestHead};
use culvert_engine::pattern::Captures;
use culvert_engine::proxy_protocol::ProxyHeader;
use std::cell::{Cell, RefCell};
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::Instant;

/// What is known of a client connection for as long as it lives.
#[derive(Debug, Clone)]
pub(crate) struct ClientFacts {
    /// `$connection`.
    pub(crate) serial: u64,
    /// The client's address; `None` on a unix socket.
    pub(crate) remote: Option<SocketAddr>,
    /// The address that it connected to; `None` on a unix socket.
    pub(crate) local: Option<SocketAddr>,
    /// When it connected.
    pub(crate) opened: Instant,
    /// What the PROXY protocol's header said.
    pub(crate) proxy: Option<Box<ProxyHeader>>,
    /// The connection's own address, where `remote` is the client's that a trusted neighbour has named.
    pub(crate) neighbour: Option<Option<SocketAddr>>,
    /// What is known of its TLS.
    pub(crate) tls: Option<Arc<TlsFacts>>,
    /// It speaks plain HTTP to an address that expects TLS.
    pub(crate) is_plain_to_tls: bool,
}

impl ClientFacts {
    /// A connection that was accepted just now.
    pub(crate) fn new(serial: u64, remote: Option<SocketAddr>, local: Option<SocketAddr>) -> ClientFacts {
        ClientFacts {
            serial,
            remote,
            local,
            opened: Instant::now(),
            tls: None,
            is_plain_to_tls: false,
            proxy: None,
            neighbour: None,
        }
    }

    /// `$scheme`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

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
    proxied: Option<(bytes::Bytes, bytes::Bytes)>,
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
    /// The values of the configuration's own variables.
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

/// What comes after a step.
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
    Reply(respond::Reply),
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
    let client = &mut paced::Paced::new(client);
    exchange.look_at_connection(client);
    let mut next = first;
    let served = loop {
        next = match next {
            Next::EnterServer => phases::enter_server(exchange),
            Next::Locate => route::locate(exchange),
            Next::Enter => phases::enter(exchange, client).await,
            Next::Status(status) => error_page::answer(exchange, client, status),
            Next::Reply(reply) => respond::send(exchange, client, reply).await,
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
                secure::check(&exchange).unwrap_or(Next::EnterServer)
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
        Box::new(Exchange {
            location: server.root.clone(),
            slots: RefCell::new(vec![None; generation.config.http.slots.len()]),
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
            changes_left: internal::CHANGES_MAX,
            uri_changed: false,
            upstream_is_lost: false,
            redirect_to: None,
            limit_rate: None,
            gzip_ratio: None,
            unsatisfied_length: None,
            redirected_after: 0,
            outcome_told: false,
            ledger: access::Ledger::default(),
            is_subrequest: false,
            _writing: None,
        })
    }

    /// Ends the exchange with a redirect to `location`, unless an `error_page` answers in place of it.
    fn redirect(&mut self, status: u16, location: Vec<u8>) -> Next {
        self.redirect_to = Some(location);
        Next::Status(status)
    }

    /// `set $limit_rate`: a size as in a configuration file.
    fn set_limit_rate(&mut self, value: &[u8]) {
        match culvert_conf::size(value) {
            Some(rate) => self.limit_rate = Some(rate),
            None => {
                let value = String::from_utf8_lossy(value);
                self.log(Level::Error, format_args!("invalid $limit_rate \"{value}\""));
            }
        }
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

    /// Copies groups of the last match to the slots of the names that they have.
    fn assign(&self, assigns: &[(usize, usize)]) {
        let captures = self.captures.borrow();
        let mut slots = self.slots.borrow_mut();
        for &(group, slot) in assigns {
            slots[slot] = Some(captures.get(group).unwrap_or_default().into());
        }
    }

    /// Writes an error log line with the request's circumstances behind it, as nginx does.
    pub(crate) fn log(&self, level: Level, message: impl Display) {
        if self.location.error_logs.iter().all(|log| level > log.level) {
            return;
        }
        let sink = self.generation.error_sink(&self.location.error_logs);
        sink.write(level, self.client.serial, format_args!("{message}{}{}", self.doing, self.circumstances()));
    }

    /// `, client: …, server: …, request: "…", upstream: "…", host: "…"`.
    pub(crate) fn circumstances(&self) -> Circumstances<'_> {
        Circumstances(self)
    }

    /// The request's method is HEAD, so that no response has a body.
    pub(crate) fn is_head(&self) -> bool {
        self.request.is_head
    }
}

/// The tail of an error log line about a request.
pub(crate) struct Circumstances<'a>(&'a Exchange);

impl Display for Circumstances<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exchange = self.0;
        write!(f, ", client: ")?;
        match exchange.client.remote {
            Some(addr) => write!(f, "{}", addr.ip().to_canonical())?,
            None => write!(f, "unix:")?,
        }
        write!(f, ", server: {}", route::name_of(&exchange.server))?;
        let line = exchange.request.head.line();
        if !line.is_empty() {
            write!(f, ", request: \"{}\"", String::from_utf8_lossy(line))?;
        }
        if exchange.is_subrequest {
            write!(f, ", subrequest: \"{}\"", String::from_utf8_lossy(&exchange.request.uri))?;
        }
        if let Some(attempt) = exchange.tries.last().filter(|attempt| attempt.response_time.is_none()) {
            let uri = String::from_utf8_lossy(&exchange.request.upstream_uri);
            let scheme = if exchange.proxied_by_tls { "https" } else { "http" };
            match attempt.endpoint() {
                Some(Endpoint::Unix(path)) => write!(f, ", upstream: \"{scheme}://unix:{}:{uri}\"", path.display())?,
                Some(endpoint) => write!(f, ", upstream: \"{scheme}://{endpoint}{uri}\"")?,
                None => write!(f, ", upstream: \"{scheme}://{}{uri}\"", attempt.upstream.name)?,
            }
        }
        if let Some(host) = exchange.request.head.headers.first("host") {
            write!(f, ", host: \"{}\"", String::from_utf8_lossy(host))?;
        }
        if let Some(referrer) = exchange.request.head.headers.first("referer") {
            write!(f, ", referrer: \"{}\"", String::from_utf8_lossy(referrer))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
