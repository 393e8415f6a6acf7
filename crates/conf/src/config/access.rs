//! Who may pass, how often, and whose address a request comes from: what a location says of it, and the tables and zones
//! that the `http` block defines for it.

use super::{Level, Place};
use bytes::Bytes;
use culvert_engine::access::{Geo as GeoTable, Network, Referers, Split as SplitTable};
use culvert_engine::template::Template;
use std::sync::Arc;
use std::time::Duration;

/// Everything of a location that decides who may pass.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// `allow` and `deny`, in order; the first that fits a client decides.
    pub rules: Arc<[AccessRule]>,
    /// `satisfy any`: one of address, password and subrequest is enough.
    pub satisfy_any: bool,
    /// `auth_basic`: the realm; `None` is `off`.
    pub realm: Option<Template>,
    /// `auth_basic_user_file`.
    pub user_file: Option<Template>,
    /// `auth_request`: the URI that is asked; `None` is `off`.
    pub auth_request: Option<Bytes>,
    /// `auth_request_set`: slots, and the values that they get when the answer is there.
    pub auth_request_set: Arc<[(usize, Template)]>,
    /// `auth_delay`: how long a refusal for want of a password waits.
    pub auth_delay: Duration,
    /// `valid_referers`; `None` where it stands nowhere.
    pub referers: Option<Arc<Referers>>,
    /// `secure_link` and its relations.
    pub secure_link: SecureLink,
}

/// An `allow` or `deny`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessRule {
    /// Who is meant; `None` is `all`.
    pub network: Option<Network>,
    /// `allow`.
    pub allow: bool,
}

/// `secure_link`, `secure_link_md5` and `secure_link_secret`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecureLink {
    /// The MD5 of the request, and when the link expires.
    pub link: Option<Template>,
    /// The text that the MD5 is made of.
    pub md5: Option<Template>,
    /// The secret of the older form.
    pub secret: Option<Bytes>,
}

/// `limit_except`: other rules for other methods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitExcept {
    /// The methods that are not limited, in upper case; `HEAD` among them where `GET` is.
    pub methods: Box<[Box<str>]>,
    /// What holds for all others: an index into the server's locations.
    pub location: usize,
}

/// `limit_req`, `limit_conn` and their relations.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// `limit_req`, in order.
    pub requests: Arc<[RequestLimit]>,
    /// How `limit_req` tells and answers.
    pub request_refusal: Refusal,
    /// `limit_conn`, in order.
    pub connections: Arc<[ConnectionLimit]>,
    /// How `limit_conn` tells and answers.
    pub connection_refusal: Refusal,
}

/// `limit_…_log_level`, `limit_…_status` and `limit_…_dry_run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The level of the line that says it.
    pub level: Level,
    /// The answer.
    pub status: u16,
    /// Nothing is refused, only said.
    pub dry_run: bool,
}

/// A `limit_req`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimit {
    /// An index into [`Tables::request_zones`].
    pub zone: usize,
    /// `burst` in thousandths of a request.
    pub burst: u64,
    /// `delay` in thousandths of a request; for `nodelay` the largest number.
    pub delay: u64,
}

/// A `limit_conn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// An index into [`Tables::connection_zones`].
    pub zone: usize,
    /// How many there may be.
    pub most: u32,
}

/// `set_real_ip_from`, `real_ip_header` and `real_ip_recursive`.
#[derive(Debug, Clone)]
pub struct RealIpSettings {
    /// Who is believed.
    pub from: Arc<[Trusted]>,
    /// What names the client.
    pub header: RealIpHeader,
    /// Whether the last address that is not trusted is taken, and not the last one.
    pub recursive: bool,
}

/// A `set_real_ip_from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trusted {
    /// A network, or all clients of unix sockets.
    Network(Network),
    /// A host name, resolved at the start.
    Host(Box<str>, Place),
}

/// `real_ip_header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RealIpHeader {
    /// `X-Forwarded-For`: all of its lines are one list.
    ForwardedFor,
    /// `proxy_protocol`: the header of the connection.
    ProxyProtocol,
    /// Another header's first line, by its name in lower case.
    Line(Box<str>),
}

/// `mirror` and `mirror_request_body`.
#[derive(Debug, Clone)]
pub struct MirrorSettings {
    /// The URIs that get a copy of each request.
    pub uris: Arc<[Bytes]>,
    /// Whether the copy has the request's body.
    pub body: bool,
}

/// What the `http` block defines for requests to be counted in or looked up by.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// The `geo` blocks; [`super::SlotKind::Geo`] is an index into this list.
    pub geos: Vec<Geo>,
    /// The `split_clients` blocks; [`super::SlotKind::Split`] is an index into this list.
    pub splits: Vec<Split>,
    /// The zones of `limit_req_zone`.
    pub request_zones: Vec<Zone>,
    /// The zones of `limit_conn_zone`.
    pub connection_zones: Vec<Zone>,
}

/// A `limit_req_zone` or `limit_conn_zone`.
#[derive(Debug, Clone)]
pub struct Zone {
    /// Its name.
    pub name: Box<str>,
    /// What is counted.
    pub key: Template,
    /// The key as written.
    pub key_text: Box<str>,
    /// Its size in bytes.
    pub bytes: usize,
    /// `rate=` in thousandths of a request per second.
    pub rate: u64,
    /// Where it is defined; `None` while that has not been read.
    pub place: Option<Place>,
}

/// A `geo` block.
#[derive(Debug, Clone)]
pub struct Geo {
    /// The value whose text is the address; `None` is the client's own.
    pub source: Option<Template>,
    /// The values.
    pub table: GeoTable,
    /// `proxy`: who is believed about the client's address.
    pub proxies: Arc<[Network]>,
    /// `proxy_recursive`.
    pub proxy_recursive: bool,
    /// `volatile`: looked up anew each time.
    pub volatile: bool,
}

/// A `split_clients` block.
#[derive(Debug, Clone)]
pub struct Split {
    /// The value that is hashed.
    pub source: Template,
    /// The shares.
    pub table: SplitTable,
}
