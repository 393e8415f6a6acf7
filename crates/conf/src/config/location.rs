//! What holds for a request once its location is chosen. Each value is the location's own or inherited.

use super::{
    AccessLog, AccessSettings, ClientSettings, ErrorLog, FileSettings, FilterSettings, LimitExcept, LimitSettings,
    LogFileCache, MirrorSettings, Place, ProxyPass, ProxySettings, ProxyTls, RealIpSettings, Resolver, SetHeader, Step,
    TryFiles, WebSocketSettings,
};
use bytes::Bytes;
use culvert_engine::pattern::Pattern;
use culvert_engine::template::Template;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// A `location`, or what a `server` block says outside its locations.
#[derive(Debug, Clone)]
pub struct Location {
    /// How it is matched.
    pub kind: LocationKind,
    /// Its name as written: the prefix, the pattern, or `@name`. Empty for a server block's own.
    pub name: String,
    /// Where the block stands.
    pub place: Place,
    /// `rewrite`, `if`, `set` and their like, in order. Not inherited.
    pub rewrite: Vec<Step>,
    /// What answers the request. Not inherited.
    pub handler: Handler,
    /// For a regular expression: which named group goes to which slot.
    pub assigns: Vec<(usize, usize)>,

    /// `client_max_body_size` in bytes; 0 is without limit.
    pub client_max_body_size: u64,
    /// `client_body_buffer_size` in bytes: how much of a request body may be held in memory.
    pub client_body_buffer_size: usize,
    /// `client_body_timeout`: between two reads of the body.
    pub client_body_timeout: Duration,
    /// `send_timeout`: between two writes to the client.
    pub send_timeout: Duration,
    /// `keepalive_timeout`: how long an idle client connection stays open; zero closes it after the response.
    pub keepalive_timeout: Duration,
    /// The second parameter of `keepalive_timeout`: what a `Keep-Alive: timeout=` header says, in seconds.
    pub keepalive_header: Option<u64>,
    /// `keepalive_requests`: how many requests one client connection may carry.
    pub keepalive_requests: u64,
    /// `keepalive_time`: after how long a client connection is closed at the next response.
    pub keepalive_time: Duration,
    /// `lingering_timeout` and `lingering_time` bound how long unread input is discarded before a close.
    pub lingering_timeout: Duration,
    /// See `lingering_timeout`.
    pub lingering_time: Duration,
    /// `tcp_nodelay`.
    pub tcp_nodelay: bool,
    /// `http2_chunk_size` in bytes: the largest DATA frame of a response.
    pub http2_chunk_size: usize,
    /// `server_tokens`.
    pub server_tokens: ServerTokens,
    /// `default_type`.
    pub default_type: Bytes,
    /// `types`: content types by file name extension (in lower case, without the dot), for what the gateway itself
    /// answers.
    pub types: Arc<HashMap<Box<str>, Bytes>>,
    /// `error_page`, in order; the first that names the status wins.
    pub error_pages: Arc<[ErrorPage]>,
    /// `recursive_error_pages`.
    pub recursive_error_pages: bool,
    /// `absolute_redirect`.
    pub absolute_redirect: bool,
    /// `port_in_redirect`.
    pub port_in_redirect: bool,
    /// `server_name_in_redirect`.
    pub server_name_in_redirect: bool,
    /// `add_header`, in order.
    pub add_headers: Arc<[AddHeader]>,
    /// `access_log`, in order; empty is `off`.
    pub access_logs: Arc<[AccessLog]>,
    /// `error_log`, in order.
    pub error_logs: Arc<[ErrorLog]>,
    /// `open_log_file_cache`; `None` is `off`.
    pub log_file_cache: Option<LogFileCache>,
    /// `log_subrequest`: whether subrequests write access log lines of their own.
    pub log_subrequest: bool,
    /// `log_not_found`: whether a file that is not there is logged.
    pub log_not_found: bool,
    /// `internal`: only internal redirects lead here; others are answered with 404.
    pub internal: bool,
    /// `try_files`. Not inherited.
    pub try_files: Option<Arc<TryFiles>>,
    /// `rewrite_log`.
    pub rewrite_log: bool,
    /// `uninitialized_variable_warn`.
    pub uninitialized_variable_warn: bool,
    /// `resolver`: who resolves the names in a `proxy_pass` with variables. `None`: nobody does.
    pub resolver: Option<Arc<Resolver>>,
    /// `resolver_timeout`: how long resolving one name may take.
    pub resolver_timeout: Duration,
    /// How the connection to the client is treated, shared in the same way as `proxy`.
    pub client: Arc<ClientSettings>,
    /// Everything that begins with `proxy_`, shared by all locations that say nothing of their own.
    pub proxy: Arc<ProxySettings>,
    /// Where files are and how they are served, shared in the same way.
    pub files: Arc<FileSettings>,
    /// Everything that begins with `proxy_ssl_`, shared in the same way.
    pub proxy_tls: Arc<ProxyTls>,
    /// What happens to responses on their way out, shared in the same way.
    pub filters: Arc<FilterSettings>,
    /// Everything that begins with `websocket_`, shared in the same way.
    pub websocket: Arc<WebSocketSettings>,
    /// Who may pass.
    pub access: Arc<AccessSettings>,
    /// How often, and how many at a time.
    pub limits: Arc<LimitSettings>,
    /// Whose address a request comes from.
    pub real_ip: Arc<RealIpSettings>,
    /// Who gets a copy.
    pub mirror: Arc<MirrorSettings>,
    /// `limit_except`. Not inherited.
    pub limit_except: Option<Arc<LimitExcept>>,
}

impl Location {
    /// Whether requests here may become tunnels: what is proxied, with `proxy_websocket` or with headers that forward an
    /// upgrade.
    pub fn may_upgrade(&self) -> bool {
        let forwards = |header: &SetHeader| header.name.eq_ignore_ascii_case(b"upgrade");
        matches!(self.handler, Handler::Proxy(_))
            && (self.proxy.websocket || self.proxy.set_headers.iter().any(forwards))
    }
}

/// How a location is matched.
#[derive(Debug, Clone)]
pub enum LocationKind {
    /// What a `server` block says itself.
    Server,
    /// `location = /uri`.
    Exact,
    /// `location /uri`, or with `^~`.
    Prefix,
    /// `location ~ pattern` or `~*`.
    Regex(Pattern),
    /// `location @name`.
    Named,
}

/// What answers a request in a location.
#[derive(Debug, Clone)]
pub enum Handler {
    /// No directive says: files do.
    None,
    /// `empty_gif`.
    EmptyGif,
    /// `proxy_pass`.
    Proxy(Arc<ProxyPass>),
    /// `stub_status`.
    StubStatus,
    /// `metrics` (Culvert's own).
    Metrics,
}

/// `error_page`, one status of it.
#[derive(Debug, Clone)]
pub struct ErrorPage {
    /// The status that it replaces.
    pub status: u16,
    /// `=code`, `=` or nothing.
    pub answer: ErrorPageStatus,
    /// Where the request goes: a URI here (begins with `/`), `@name`, or an address elsewhere, which makes it a redirect.
    pub target: Template,
}

/// Which status an error page is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorPageStatus {
    /// No `=`: the original status (302 for a URL).
    Keep,
    /// `=`: whatever the page's own location answers.
    Take,
    /// `=code`.
    Set(u16),
}

/// `server_tokens`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTokens {
    /// Name and version.
    On,
    /// The name alone.
    Off,
    /// Name, version and build, as nginx's `build`.
    Build,
    /// A text of one's own, as in NGINX Plus. Where it is empty there is no `Server` header.
    Text(Template),
}

/// `add_header`.
#[derive(Debug, Clone)]
pub struct AddHeader {
    /// The header's name.
    pub name: Bytes,
    /// Its value; nothing is added where it renders empty.
    pub value: Template,
    /// `always`: on every status, not only 200, 201, 204, 206, 301, 302, 303, 304, 307, 308.
    pub always: bool,
}

/// `client_header_buffer_size` and `large_client_header_buffers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderLimits {
    /// `client_header_buffer_size` in bytes.
    pub first: usize,
    /// How many large buffers there may be.
    pub number: usize,
    /// The size of one: no single line may be longer.
    pub size: usize,
}
