//! The typed configuration: what `nginx.conf` means, after contexts, arity, defaults and inheritance were applied.
//!
//! Every value here is final. A location holds its own value or the one it inherited; nobody downstream merges
//! anything, and nobody downstream knows a directive's name.

mod access;
mod client;
mod files;
mod filters;
mod http;
mod http2;
mod location;
mod log;
mod main;
mod proxy;
mod proxy_tls;
mod rewrite;
mod tls;
mod try_files;
mod upstream;
mod websocket;

pub use access::{
    AccessRule, AccessSettings, ConnectionLimit, Geo, LimitExcept, LimitSettings, MirrorSettings, RealIpHeader,
    RealIpSettings, Refusal, RequestLimit, SecureLink, Split, Tables, Trusted, Zone,
};
pub use client::{BodyFile, ClientSettings, KeepaliveDisable, LingeringClose, SizeValue, TempPath};
pub use files::{FileSettings, GzipStatic, ListingFormat, Root, RootKind, Symlinks};
pub use filters::{
    AddTrailer, AdditionSettings, CharsetSettings, Charsets, Expires, ExpiresRule, FilterSettings, GzipProxied,
    GzipSettings, SubPair, SubSettings, Types,
};
pub use http::{Http, Listen, ListenAddr, Map, Server, ServerName, Slot, SlotKind};
pub use http2::Http2Settings;
pub use location::{
    AddHeader, ErrorPage, ErrorPageStatus, Handler, HeaderLimits, Location, LocationKind, ServerTokens,
};
pub use log::{
    AccessLog, AccessTarget, Batch, ErrorLog, Escape, Level, LogCondition, LogFileCache, LogFormat, LogTarget, Syslog,
    SyslogServer,
};
pub use main::{CpuAffinity, Main, User};
pub use proxy::{
    Bind, BindAddress, BufferSizes, ConnectShape, CookieFlag, CookieFlagsRule, CookieName, CookieRule, HttpVersion,
    IgnoredHeaders, NextUpstream, ProxyName, ProxyPass, ProxyProtocol, ProxyRedirect, ProxySettings, ProxyTarget,
    ProxyUri, RedirectRule, RequestShape, ResponseShape, SetHeader,
};
pub use proxy_tls::ProxyTls;
pub use rewrite::{AfterRewrite, Condition, FileTest, If, Return, Rewrite, SetTarget, Step};
pub use tls::{SessionCache, TlsCipher, TlsGroup, TlsSettings, VerifyClient};
pub use try_files::{Candidate, Fallback, TryFiles};
pub use upstream::{CheckTls, HealthCheck, OnServerDown, PeerAddr, QueueSettings, Resolver, Upstream, UpstreamServer};
pub use websocket::{Deflate, OriginPattern, OriginRule, WebSocketSettings};

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Everything that a configuration file says. Built by [`crate::load`]; the next step, with sockets and names resolved,
/// is the traffic crate's `Plan`.
#[derive(Debug, Clone)]
pub struct Config {
    /// The main context.
    pub main: Main,
    /// The `http` block; empty (no servers) where the file has none.
    pub http: Http,
}

/// Where in which file something stands, for messages that can only be found out later (a port in use, an unknown
/// host). Prints as `conf/nginx.conf:12`, in nginx's manner.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file as it is named in messages.
    pub file: Arc<Path>,
    /// The line, counted from 1.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}
