//! `proxy_pass`, and everything else of the proxy module.

use super::{Place, SizeValue};
use bytes::Bytes;
use culvert_engine::pattern::Pattern;
use culvert_engine::retry::RetryOn;
use culvert_engine::template::Template;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

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
        /// What it was called.
        name: Arc<ProxyName>,
        /// `https://`.
        tls: bool,
    },
    /// With variables: the whole URL is rendered per request.
    Variable(Template),
}

/// What the server of a `proxy_pass` is called.
#[derive(Debug, Clone)]
pub struct ProxyName {
    /// `$proxy_host`: host and port as written (`localhost` and the path for a unix socket, as nginx).
    pub host: Bytes,
    /// `$proxy_port`; empty for a unix socket.
    pub port: Bytes,
}

/// What becomes of the request target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyUri {
    /// `proxy_pass http://host;`: the target as the client sent it (or the current URI after an internal redirect).
    Unchanged,
    /// `proxy_pass http://host/uri;`: the part of the normalised URI that matched the location is replaced by this.
    Replace(Bytes),
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

/// What a request to the upstream is made of.
#[derive(Debug, Clone)]
pub struct RequestShape {
    /// `proxy_method`; `None` is the client's own.
    pub method: Option<Template>,
    /// `proxy_pass_request_headers`.
    pub pass_headers: bool,
    /// `proxy_pass_request_body`.
    pub pass_body: bool,
    /// `proxy_set_body`.
    pub set_body: Option<Template>,
}

/// What becomes of the upstream's response.
#[derive(Debug, Clone)]
pub struct ResponseShape {
    /// `proxy_ignore_headers`.
    pub ignore_headers: IgnoredHeaders,
    /// `proxy_cookie_domain`, in order; empty where there is none, or `off`.
    pub cookie_domains: Arc<[CookieRule]>,
    /// `proxy_cookie_path`, the same.
    pub cookie_paths: Arc<[CookieRule]>,
    /// `proxy_cookie_flags`, the same.
    pub cookie_flags: Arc<[CookieFlagsRule]>,
    /// `proxy_force_ranges`.
    pub force_ranges: bool,
    /// `proxy_pass_trailers`.
    pub pass_trailers: bool,
    /// `proxy_limit_rate` in bytes per second; 0 is without limit.
    pub limit_rate: SizeValue,
    /// A `proxy_cache` is configured. There is none, so every response comes from the upstream.
    pub cache: bool,
}

/// How connections to the upstream are made.
#[derive(Debug, Clone, Default)]
pub struct ConnectShape {
    /// `proxy_bind`.
    pub bind: Option<Arc<Bind>>,
    /// `proxy_protocol` (Culvert's own): the header in front of everything else.
    pub protocol: Option<ProxyProtocol>,
}

/// `proxy_bind`.
#[derive(Debug, Clone)]
pub struct Bind {
    /// The local address.
    pub address: BindAddress,
    /// `transparent`: the address need not be one of this machine's.
    pub transparent: bool,
}

/// The address of a `proxy_bind`.
#[derive(Debug, Clone)]
pub enum BindAddress {
    /// Known; port 0 leaves the choice to the kernel.
    Fixed(SocketAddr),
    /// With variables.
    Rendered(Template),
}

impl BindAddress {
    /// Reads an IP address, with or without a port.
    pub fn read(text: &str) -> Option<SocketAddr> {
        match text.parse::<IpAddr>() {
            Ok(ip) => Some(SocketAddr::new(ip, 0)),
            Err(_) => text.parse().ok().filter(|address: &SocketAddr| address.port() != 0),
        }
    }
}

/// `proxy_protocol`: which version of the PROXY protocol an upstream is greeted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

/// One `proxy_cookie_domain` or `proxy_cookie_path`.
#[derive(Debug, Clone)]
pub enum CookieRule {
    /// A domain, or the beginning of a path, and what replaces it.
    Text {
        /// What is replaced.
        from: Template,
        /// By what.
        to: Template,
    },
    /// A regular expression and what replaces the whole value.
    Regex {
        /// The pattern.
        pattern: Pattern,
        /// The replacement.
        to: Template,
        /// Which named group goes to which slot.
        assigns: Vec<(usize, usize)>,
    },
}

/// One `proxy_cookie_flags`.
#[derive(Debug, Clone)]
pub struct CookieFlagsRule {
    /// Whose flags.
    pub cookie: CookieName,
    /// What becomes of them, in order. nginx takes variables here, so what a flag is shows when it is rendered.
    pub flags: Vec<Template>,
}

/// Which cookies a `proxy_cookie_flags` is about.
#[derive(Debug, Clone)]
pub enum CookieName {
    /// The one of this name.
    Text(Template),
    /// Those that match.
    Regex {
        /// The pattern.
        pattern: Pattern,
        /// Which named group goes to which slot.
        assigns: Vec<(usize, usize)>,
    },
}

/// One flag of a `proxy_cookie_flags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieFlag {
    /// `secure`, or `nosecure` to take it away.
    Secure(bool),
    /// `httponly` and `nohttponly`.
    HttpOnly(bool),
    /// `samesite=…` and its value.
    SameSite(&'static str),
    /// `nosamesite`.
    NoSameSite,
}

impl CookieFlag {
    /// The flag that a rendered argument names, in either case.
    pub fn read(text: &[u8]) -> Option<CookieFlag> {
        Some(match text.to_ascii_lowercase().as_slice() {
            b"secure" => CookieFlag::Secure(true),
            b"nosecure" => CookieFlag::Secure(false),
            b"httponly" => CookieFlag::HttpOnly(true),
            b"nohttponly" => CookieFlag::HttpOnly(false),
            b"samesite=strict" => CookieFlag::SameSite("Strict"),
            b"samesite=lax" => CookieFlag::SameSite("Lax"),
            b"samesite=none" => CookieFlag::SameSite("None"),
            b"nosamesite" => CookieFlag::NoSameSite,
            _ => return None,
        })
    }
}

macro_rules! ignored_headers {
    ($($field:ident $name:literal)*) => {
        /// `proxy_ignore_headers`: which headers of a response are not acted upon.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct IgnoredHeaders { $(#[doc = concat!("`", $name, "`.")] pub $field: bool),* }

        impl IgnoredHeaders {
            /// The switch of the header with this name.
            pub(crate) fn switch(&mut self, name: &str) -> Option<&mut bool> {
                $(if name.eq_ignore_ascii_case($name) { return Some(&mut self.$field); })*
                None
            }
        }
    };
}

ignored_headers! {
    redirect "X-Accel-Redirect"
    accel_expires "X-Accel-Expires"
    limit_rate "X-Accel-Limit-Rate"
    buffering "X-Accel-Buffering"
    charset "X-Accel-Charset"
    expires "Expires"
    cache_control "Cache-Control"
    set_cookie "Set-Cookie"
    vary "Vary"
}
