//! What holds for a request once its location is chosen. Each value is the location's own or inherited.

use super::{
    AccessLog, AccessSettings, ClientSettings, ConnectShape, ErrorLog, FileSettings, FilterSettings, LimitExcept,
    LimitSettings, LogFileCache, MirrorSettings, Place, ProxyTls, RealIpSettings, RequestShape, Resolver,
    ResponseShape, Step, TryFiles, WebSocketSettings,
};
use bytes::Bytes;
use culvert_engine::pattern::Pattern;
use culvert_engine::retry::RetryOn;
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
    pub value: AddHeaderValue,
    /// `always`: on every status, not only 200, 201, 204, 206, 301, 302, 303, 304, 307, 308.
    pub always: bool,
}

/// The value of an `add_header`.
pub type AddHeaderValue = Template;

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

/// `proxy_buffers` and its relations: how far Culvert may read ahead of a slow client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferSizes {
    /// `proxy_buffer_size` in bytes: the longest response head.
    pub head: usize,
    /// `proxy_buffers`: number.
    pub number: usize,
    /// `proxy_buffers`: size of one in bytes.
    pub size: usize,
}

/// Everything of the proxy module that a location inherits.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// `proxy_http_version`.
    pub http_version: HttpVersion,
    /// `proxy_set_header`, in order; empty where none is defined on any level. nginx's two defaults (`Host
    /// $proxy_host`, `Connection close`) are applied by the traffic side unless a header of that name stands here.
    pub set_headers: Arc<[SetHeader]>,
    /// `proxy_hide_header`: names in lower case, nginx's built-in list not included.
    pub hide_headers: Arc<[Box<str>]>,
    /// `proxy_pass_header`: names in lower case that are passed although hidden by default.
    pub pass_headers: Arc<[Box<str>]>,
    /// `proxy_redirect`.
    pub redirect: ProxyRedirect,
    /// `proxy_connect_timeout`.
    pub connect_timeout: Duration,
    /// `proxy_read_timeout`: between two reads from the upstream, for a tunnel between two reads from either side.
    pub read_timeout: Duration,
    /// `proxy_send_timeout`: between two writes to the upstream.
    pub send_timeout: Duration,
    /// `proxy_buffering`.
    pub buffering: bool,
    /// `proxy_buffer_size` and `proxy_buffers`.
    pub buffers: BufferSizes,
    /// `proxy_busy_buffers_size` in bytes.
    pub busy_buffers_size: usize,
    /// `proxy_temp_file_write_size`, checked against the sizes above; there are no temporary files.
    pub temp_file_write_size: Option<usize>,
    /// `proxy_max_temp_file_size`, the same.
    pub temp_file_size_max: Option<u64>,
    /// `proxy_request_buffering`.
    pub request_buffering: bool,
    /// `proxy_next_upstream` and its bounds.
    pub next_upstream: NextUpstream,
    /// `proxy_intercept_errors`.
    pub intercept_errors: bool,
    /// `proxy_websocket` (Culvert's own): whether a valid RFC 6455 handshake becomes a tunnel without
    /// `proxy_set_header`.
    pub websocket: bool,
    /// `proxy_ignore_client_abort`.
    pub ignore_client_abort: bool,
    /// `proxy_socket_keepalive`.
    pub socket_keepalive: bool,
    /// What the request is made of.
    pub request: RequestShape,
    /// What becomes of the response.
    pub response: ResponseShape,
    /// How connections are made.
    pub connect: ConnectShape,
}

/// `proxy_http_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// `1.0`, nginx's default. Tunnels use 1.1.
    V1_0,
    /// `1.1`.
    V1_1,
    /// `2`: by agreement over TLS, with prior knowledge without.
    V2,
    /// `auto` (Culvert's own): over TLS what the server chooses of 2 and 1.1, without it 1.1.
    Auto,
}

/// `proxy_next_upstream`, `proxy_next_upstream_tries` and `proxy_next_upstream_timeout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextUpstream {
    /// What counts as a reason to try the next server.
    pub on: RetryOn,
    /// How many tries in all; 0 is without limit.
    pub tries: u32,
    /// For how long after the first try others may follow; zero is without limit.
    pub timeout: Duration,
}

/// `proxy_set_header`.
#[derive(Debug, Clone)]
pub struct SetHeader {
    /// The header's name as written.
    pub name: Bytes,
    /// Its value; the header is not sent where it renders empty.
    pub value: Template,
}

/// `proxy_redirect`.
#[derive(Debug, Clone)]
pub enum ProxyRedirect {
    /// `off`.
    Off,
    /// The rules, in order; the first that matches wins.
    Rules(Arc<[RedirectRule]>),
}

/// One rule that rewrites `Location` and `Refresh`.
#[derive(Debug, Clone)]
pub enum RedirectRule {
    /// `default`: from the `proxy_pass` address to the location's name.
    Default,
    /// A prefix and what replaces it.
    Prefix(Template, Template),
    /// A regular expression and what replaces the match; `assigns` are its named captures.
    Regex {
        /// The pattern.
        pattern: Pattern,
        /// The replacement.
        replacement: Template,
        /// Which named group goes to which slot.
        assigns: Vec<(usize, usize)>,
    },
}

/// `proxy_pass`.
#[derive(Debug, Clone)]
pub struct ProxyPass {
    /// Where requests go.
    pub target: ProxyTarget,
    /// The URL as written, for `proxy_redirect default` and for messages.
    pub url: String,
    /// Where the directive stands.
    pub place: Place,
}

impl ProxyPass {
    /// Whether its servers are, or may turn out to be, spoken to over TLS.
    pub fn is_or_may_be_tls(&self) -> bool {
        match &self.target {
            ProxyTarget::Upstream { tls, .. } => *tls,
            ProxyTarget::Variable(_) => true,
        }
    }
}

/// The address of a `proxy_pass`.
#[derive(Debug, Clone)]
pub enum ProxyTarget {
    /// Without variables: an upstream and what becomes of the URI.
    Upstream {
        /// An index into [`super::Http::upstreams`].
        upstream: usize,
        /// What the request target becomes.
        uri: ProxyUri,
        /// `$proxy_host`: host and port as written (`localhost` and the path for a unix socket, as nginx).
        host: Bytes,
        /// `$proxy_port`; empty for a unix socket.
        port: Bytes,
        /// `https://`.
        tls: bool,
    },
    /// With variables: the whole URL is rendered per request.
    Variable(Template),
}

/// What becomes of the request target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyUri {
    /// `proxy_pass http://host;`: the target as the client sent it (or the current URI after an internal redirect).
    Unchanged,
    /// `proxy_pass http://host/uri;`: the part of the normalised URI that matched the location is replaced by this.
    Replace(Bytes),
}
