//! What a request says, checked and normalised.

pub(super) mod body;
mod saved;
pub(super) mod secure;

use bytes::Bytes;
use culvert_conf::config::Server;
use culvert_engine::http1::{BodyLength, Protocol, RequestHead};
use culvert_engine::uri;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;
use tokio::time::Instant;

/// A request, as far as the gateway has understood it.
pub(crate) struct Request {
    /// As it was sent.
    pub(crate) head: RequestHead,
    /// A redirect to an error page makes any method but HEAD a GET.
    pub(crate) turned_to_get: bool,
    /// Whether the client asked with HEAD.
    pub(crate) is_head: bool,
    /// It is the extended CONNECT of RFC 8441, in the words of an RFC 6455 handshake: any 2xx would open the tunnel.
    pub(crate) by_connect: bool,
    /// The host name: from the request line, else from `Host`; in lower case, without the port. Empty where there is none.
    pub(crate) host: Box<[u8]>,
    /// The port that stood behind the host.
    pub(crate) port: Option<u16>,
    /// Whether the host could be read, so that it may choose the server.
    pub(crate) host_is_read: bool,
    /// Whether the target could be read.
    pub(crate) target_is_read: bool,
    /// Where in the target path and arguments are.
    unparsed: Range<usize>,
    /// Whether [`Request::unparsed`] still is what was asked for; false once the URI was changed here.
    pub(crate) unparsed_is_valid: bool,
    /// Whether the URI, or the location, is one of the gateway's own choosing: internal locations are open to it.
    pub(crate) internal: bool,
    /// Whether the location's name is still what the URI begins with; false after `rewrite … break`.
    pub(crate) location_is_valid: bool,
    /// Whether the URI stands behind the `alias` of a location with an expression: `try_files` found it there.
    pub(crate) uri_behind_alias: bool,
    /// Whether the path as sent was percent-encoded, so that it must be encoded again when it is sent on.
    pub(crate) quoted: bool,
    /// Whether the path as sent has a plus sign.
    pub(crate) plus_in_uri: bool,
    /// The current normalised path.
    pub(crate) uri: Box<[u8]>,
    /// The current arguments; empty where there are none.
    pub(crate) args: Box<[u8]>,
    /// Whether the arguments were sent or set, even if they are empty.
    pub(crate) has_args: bool,
    /// How the body is delimited.
    pub(crate) body: BodyLength,
    /// The target of the request that went to the upstream, for log lines.
    pub(crate) upstream_uri: Vec<u8>,
    /// When its first byte was read.
    pub(crate) began: Instant,
    /// Which request of its connection it is, from 1.
    pub(crate) nth: u64,
    /// Bytes received: head and body.
    pub(crate) received: u64,
    /// What was read ahead of a body that is streamed, for the next server that it is sent to.
    pub(crate) body_ahead: Vec<u8>,
    /// A part of the body went to a server and is not here any more: no other can be sent the whole of it.
    pub(crate) body_is_spent: bool,
    /// The body, where it was held in memory: `$request_body`.
    pub(crate) body_bytes: Option<Bytes>,
    /// The body, where it was written to a file: `$request_body_file`.
    pub(crate) body_file: Option<Arc<saved::SavedBody>>,
    /// Whether it came behind another request in one read.
    pub(crate) pipelined: bool,
    id: OnceCell<String>,
}

impl Request {
    pub(super) fn new(head: RequestHead, began: Instant, nth: u64) -> Request {
        Request {
            turned_to_get: false,
            is_head: head.method() == b"HEAD",
            by_connect: false,
            head,
            host: Box::default(),
            port: None,
            host_is_read: false,
            target_is_read: false,
            unparsed: 0..0,
            unparsed_is_valid: true,
            internal: false,
            location_is_valid: true,
            uri_behind_alias: false,
            quoted: false,
            plus_in_uri: false,
            uri: Box::default(),
            args: Box::default(),
            has_args: false,
            body: BodyLength::None,
            upstream_uri: Vec::new(),
            began,
            nth,
            received: 0,
            body_ahead: Vec::new(),
            body_is_spent: false,
            body_bytes: None,
            body_file: None,
            pipelined: false,
            id: OnceCell::new(),
        }
    }

    /// Reads target, host and method, in nginx's order, as far as they are good: the rest of a bad request is answered and
    /// logged with what is known. `body` is how it is delimited, or the status for a head that could not be read.
    pub(super) fn read(&mut self, server: &Server, body: Result<BodyLength, u16>) -> Result<(), Refusal> {
        if self.head.method().is_empty() {
            return Err(Refusal { status: body.err().unwrap_or(400), message: None });
        }
        self.read_target(server.merge_slashes)?;
        if self.head.headers.len() as u64 > server.max_headers {
            const MESSAGE: &str = "client sent too many header lines while reading client request headers";
            return Err(refusal(494, MESSAGE));
        }
        self.read_host()?;
        if let Some((name, value, before)) = self.head.headers.repeated() {
            let line = |value| format!("\"{}: {}\"", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            let (second, first) = (line(value), line(before));
            let message = format!("client sent duplicate header line: {second}, previous value: {first} {READING}");
            return Err(refusal(400, message));
        }
        self.body = body.map_err(|status| Refusal { status, message: None })?;
        match self.head.method() {
            b"CONNECT" => Err(refusal(405, "client sent CONNECT method while reading client request headers")),
            b"TRACE" => Err(refusal(405, "client sent TRACE method while reading client request headers")),
            _ => Ok(()),
        }
    }

    fn read_target(&mut self, merge_slashes: bool) -> Result<(), Refusal> {
        let invalid = || refusal(400, "client sent invalid request while reading client request line");
        let target = uri::parse_target(self.head.target()).map_err(|_| invalid())?;
        self.target_is_read = true;
        // A target that is an address without a path has nothing to point at, and is composed anew.
        let from = self.head.target().len().saturating_sub(target.request_uri.len());
        self.unparsed = from..self.head.target().len();
        self.unparsed_is_valid = self.unparsed().starts_with(b"/");
        self.quoted = target.is_quoted;
        self.plus_in_uri = target.path.contains(&b'+');
        self.args = target.args.unwrap_or_default().into();
        self.has_args = !self.args.is_empty();
        self.uri = uri::normalise(target.path, merge_slashes).map_err(|_| invalid())?.into();
        if let Some(host) = target.host {
            let invalid = |_| refusal(400, "client sent invalid host in request line");
            let host = uri::host_of(host).map_err(invalid)?;
            (self.host, self.port) = (host.name.into(), host.port);
            self.host_is_read = true;
        }
        Ok(())
    }

    fn read_host(&mut self) -> Result<(), Refusal> {
        let mut hosts = self.head.headers.all("host");
        let header = hosts.next();
        let Some(text) = header else {
            self.host_is_read = true;
            let missing = match self.head.protocol {
                Protocol::Http1 => format!("client sent HTTP/1.1 request without \"Host\" header {READING}"),
                Protocol::Http2 => format!("client sent neither \":authority\" nor \"Host\" header {READING}"),
            };
            return if self.head.minor > 0 { Err(refusal(400, missing)) } else { Ok(()) };
        };
        let parsed =
            uri::host_of(text).map_err(|_| refusal(400, format!("client sent invalid host header {READING}")))?;
        if !self.host_is_read {
            (self.host, self.port) = (parsed.name.into(), parsed.port);
            self.host_is_read = true;
        }
        match hosts.next() {
            None => Ok(()),
            Some(second) => {
                let (first, second) = (String::from_utf8_lossy(text), String::from_utf8_lossy(second));
                let message = format!(
                    "client sent duplicate host header: \"Host: {second}\", previous value: \"Host: {first}\" {READING}"
                );
                Err(refusal(400, message))
            }
        }
    }

    /// Drops header lines whose names nginx takes for invalid (`ignore_invalid_headers`, `underscores_in_headers`).
    pub(super) fn drop_invalid_headers(&mut self, server: &Server) {
        let allowed = if server.underscores_in_headers { &WITH_UNDERSCORE } else { &WITHOUT_UNDERSCORE };
        let is_valid = |name: &[u8]| name.iter().all(|&b| allowed[usize::from(b)]);
        if server.ignore_invalid_headers && !self.head.headers.lines().all(|line| is_valid(line.name())) {
            self.head.headers.retain(|name, _| is_valid(name));
        }
    }

    /// A request of the gateway's own for `uri`, with this one's head and without its body.
    pub(super) fn fork(&self, uri: &[u8]) -> Request {
        let mut fork = Request::new(self.head.clone(), self.began, self.nth);
        fork.host = self.host.clone();
        fork.host_is_read = self.host_is_read;
        fork.target_is_read = true;
        fork.unparsed = self.unparsed.clone();
        fork.unparsed_is_valid = false;
        fork.internal = true;
        fork.uri = uri.into();
        fork.id.clone_from(&self.id);
        fork
    }

    /// The current method.
    pub(crate) fn method(&self) -> &[u8] {
        if self.turned_to_get { b"GET" } else { self.head.method() }
    }

    /// Makes any method but HEAD a GET, as a redirect to an error page does.
    pub(super) fn turn_to_get(&mut self) {
        self.turned_to_get = !self.is_head;
    }

    /// `$request_uri`: path and arguments as sent. Empty where the target could not be read.
    pub(crate) fn unparsed(&self) -> &[u8] {
        &self.head.target()[self.unparsed.clone()]
    }

    /// `$request_id`.
    pub(super) fn id(&self) -> &str {
        self.id.get_or_init(|| format!("{:032x}", rand::random::<u128>()))
    }
}

/// Which bytes the names of header lines may have.
static WITHOUT_UNDERSCORE: [bool; 256] = allowed_in_names(b'-');
static WITH_UNDERSCORE: [bool; 256] = allowed_in_names(b'_');

const fn allowed_in_names(also: u8) -> [bool; 256] {
    let mut allowed = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        allowed[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'-' || byte == also;
        byte += 1;
    }
    allowed
}

/// What a request was being done with when it was refused for its headers.
const READING: &str = "while reading client request headers";

/// Why a request is refused.
pub(super) struct Refusal {
    /// The status to answer with.
    pub(super) status: u16,
    /// What the error log says; `None` where the front has said it.
    pub(super) message: Option<String>,
}

fn refusal(status: u16, message: impl Into<String>) -> Refusal {
    Refusal { status, message: Some(message.into()) }
}
