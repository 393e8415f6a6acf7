//! What a request says, checked and normalised.

use culvert_conf::config::Server;
use culvert_engine::http1::{BodyLength, RequestHead};
use culvert_engine::uri;
use std::cell::OnceCell;
use tokio::time::Instant;

/// A request, as far as the gateway has understood it.
pub(crate) struct Request {
    /// As it was sent.
    pub(crate) head: RequestHead,
    /// The current method: a redirect to an error page makes it GET.
    pub(crate) method: Box<[u8]>,
    /// Whether the client asked with HEAD.
    pub(crate) is_head: bool,
    /// The host name: from the request line, else from `Host`; in lower case, without the port. Empty where there is none.
    pub(crate) host: Box<[u8]>,
    /// `$request_uri`: path and arguments as sent.
    pub(crate) unparsed: Box<[u8]>,
    /// Whether `unparsed` still is what was asked for; false once the URI was changed here.
    pub(crate) unparsed_is_valid: bool,
    /// Whether the path as sent was percent-encoded, so that it must be encoded again when it is sent on.
    pub(crate) quoted: bool,
    /// The current normalised path.
    pub(crate) uri: Box<[u8]>,
    /// The current arguments; empty where there are none.
    pub(crate) args: Box<[u8]>,
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
    /// The body, where it was held in memory: `$request_body`.
    pub(crate) body_bytes: Option<Vec<u8>>,
    /// Whether it came behind another request in one read.
    pub(crate) pipelined: bool,
    id: OnceCell<String>,
}

impl Request {
    pub(super) fn new(head: RequestHead, began: Instant, nth: u64) -> Request {
        Request {
            method: head.method().into(),
            is_head: head.method() == b"HEAD",
            head,
            host: Box::default(),
            unparsed: Box::default(),
            unparsed_is_valid: true,
            quoted: false,
            uri: Box::default(),
            args: Box::default(),
            body: BodyLength::None,
            upstream_uri: Vec::new(),
            began,
            nth,
            received: 0,
            body_bytes: None,
            pipelined: false,
            id: OnceCell::new(),
        }
    }

    /// Reads which host is asked for. The error is the status to answer with.
    pub(super) fn read_host(&mut self) -> Result<(), u16> {
        let line = match uri::parse_target(self.head.target()) {
            Ok(target) => target.host.map(uri::host_of).transpose().map_err(|_| 400_u16)?,
            // What is wrong with the target is said when it is read; a CONNECT has none to read.
            Err(_) => None,
        };
        let mut hosts = self.head.headers.all("host");
        let header = hosts.next();
        if hosts.next().is_some() || (header.is_none() && self.head.minor > 0) {
            return Err(400);
        }
        let header = header.filter(|host| !host.is_empty()).map(uri::host_of).transpose().map_err(|_| 400_u16)?;
        self.host = line.or(header).map(|host| host.name.into()).unwrap_or_default();
        Ok(())
    }

    /// Drops header lines whose names nginx takes for invalid (`ignore_invalid_headers`, `underscores_in_headers`).
    pub(super) fn drop_invalid_headers(&mut self, server: &Server) {
        let underscore = if server.underscores_in_headers { b'_' } else { b'-' };
        let is_valid = |name: &[u8]| name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-' || b == underscore);
        if server.ignore_invalid_headers {
            self.head.headers.retain(|name, _| is_valid(name));
        }
    }

    /// Takes the target apart. The error is the status to answer with.
    pub(super) fn read_target(&mut self, merge_slashes: bool) -> Result<(), u16> {
        if matches!(self.head.method(), b"CONNECT" | b"TRACE") {
            return Err(405);
        }
        let target = uri::parse_target(self.head.target()).map_err(|_| 400_u16)?;
        self.unparsed = target.request_uri.into();
        self.quoted = target.is_quoted;
        self.args = target.args.unwrap_or_default().into();
        self.uri = uri::normalise(target.path, merge_slashes).map_err(|_| 400_u16)?.into();
        Ok(())
    }

    /// `$request_id`.
    pub(super) fn id(&self) -> &str {
        self.id.get_or_init(|| format!("{:032x}", rand::random::<u128>()))
    }
}
