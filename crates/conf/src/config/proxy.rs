//! The parts of [`ProxySettings`](super::ProxySettings) that say what becomes of a request and of its response.

use super::SizeValue;
use culvert_engine::pattern::Pattern;
use culvert_engine::template::Template;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

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
