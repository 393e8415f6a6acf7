//! The `http` block: servers, maps, upstreams and the variables that the configuration defines.

use super::{HeaderLimits, Http2Settings, Location, Place, Step, Tables, TlsSettings, Upstream};
use culvert_engine::map::MapTable;
use culvert_engine::pattern::Pattern;
use culvert_engine::route::LocationTree;
use culvert_engine::template::Template;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The `http` block.
#[derive(Debug, Clone, Default)]
pub struct Http {
    /// The `server` blocks, in order.
    pub servers: Vec<Arc<Server>>,
    /// The `upstream` blocks and the implicit upstreams of `proxy_pass http://host:port`;
    /// [`super::ProxyTarget::Upstream`] is an index into this list.
    pub upstreams: Vec<Upstream>,
    /// The `map` blocks; [`SlotKind::Map`] is an index into this list.
    pub maps: Vec<Map>,
    /// What requests are looked up by or counted in.
    pub tables: Tables,
    /// The variables that the configuration defines; [`culvert_engine::variable::Variable::Slot`] is an index into this
    /// list.
    pub slots: Vec<Slot>,
    /// Some `$tcpinfo_…` is used, for which each request has to ask the kernel.
    pub asks_tcp_info: bool,
    /// The character sets that are known, and how they are converted.
    pub charsets: super::Charsets,
}

/// A variable that the configuration defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Its name without the dollar sign.
    pub name: String,
    /// Where its value comes from.
    pub kind: SlotKind,
}

/// Where the value of a [`Slot`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    /// `set`: it has a value once that ran; empty before.
    Assigned,
    /// A named group of a regular expression: it has a value once that matched; none before.
    Captured,
    /// A `map`: computed when it is asked for.
    Map(usize),
    /// A `geo`.
    Geo(usize),
    /// A `split_clients`.
    Split(usize),
    /// `auth_request_set`: it has a value once the subrequest was answered; none before.
    Absent,
}

/// A `map` block.
#[derive(Debug, Clone)]
pub struct Map {
    /// The value that is looked up.
    pub source: Template,
    /// What is found. The regular expressions' named captures are assigned to the slots of the same names.
    pub table: MapTable<Template>,
    /// `volatile`: looked up anew each time.
    pub volatile: bool,
}

/// A `server` block.
#[derive(Debug, Clone)]
pub struct Server {
    /// The `listen` lines; nginx's default `*:80` where there is none (`*:8000` when not started as root).
    pub listens: Vec<Listen>,
    /// The `server_name`s, in order. The first one is `$server_name`; empty where there is none.
    pub names: Vec<ServerName>,
    /// `client_header_timeout`.
    pub client_header_timeout: Duration,
    /// `client_header_buffer_size` and `large_client_header_buffers`.
    pub header_limits: HeaderLimits,
    /// `http2` and what belongs to it.
    pub http2: Http2Settings,
    /// `max_headers`: how many header lines a request may have.
    pub max_headers: u64,
    /// `merge_slashes`.
    pub merge_slashes: bool,
    /// `ignore_invalid_headers`.
    pub ignore_invalid_headers: bool,
    /// `underscores_in_headers`.
    pub underscores_in_headers: bool,
    /// Everything that begins with `ssl_`, shared by all servers that say nothing of their own.
    pub tls: Arc<TlsSettings>,
    /// `rewrite`, `if`, `set` and their like of the server block itself, run before the location is chosen.
    pub rewrite: Vec<Step>,
    /// What the server block itself says: in force where no location is chosen.
    pub root: Arc<Location>,
    /// All locations, nested ones too; the tree holds indices into this list.
    pub locations: Vec<Arc<Location>>,
    /// How a URI finds its location.
    pub tree: LocationTree,
    /// The line of its opening brace.
    pub place: Place,
}

impl Server {
    /// All that may hold for a request: the server's own, its locations, and the `if` blocks in them.
    pub fn every_location(&self) -> Vec<&Arc<Location>> {
        let mut found: Vec<&Arc<Location>> = self.locations.iter().chain([&self.root]).collect();
        let mut next = 0;
        while let Some(&location) = found.get(next) {
            gather_ifs(&location.rewrite, &mut found);
            next += 1;
        }
        found
    }
}

fn gather_ifs<'a>(steps: &'a [Step], found: &mut Vec<&'a Arc<Location>>) {
    for step in steps {
        if let Step::If(inner) = step {
            found.extend(&inner.location);
            gather_ifs(&inner.steps, found);
        }
    }
}

/// One name of a server.
#[derive(Debug, Clone)]
pub enum ServerName {
    /// `example.com`, `*.example.com`, `.example.com`, `www.example.*` or the empty name; in lower case.
    Text(String),
    /// `~pattern`, with the slots of its named captures as pairs of group and slot.
    Regex {
        /// The pattern.
        pattern: Pattern,
        /// As written, tilde included: what `$server_name` shows.
        source: String,
        /// Which group goes to which slot.
        assigns: Vec<(usize, usize)>,
    },
}

/// One `listen` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub addr: ListenAddr,
    /// `default_server` (or its old name `default`).
    pub default_server: bool,
    /// `backlog=`; nginx's default on Linux is 511.
    pub backlog: Option<i32>,
    /// `proxy_protocol`.
    pub proxy_protocol: bool,
    /// `reuseport`.
    pub reuseport: bool,
    /// `ipv6only=`; nginx's default is on.
    pub ipv6only: Option<bool>,
    /// `so_keepalive=on|off`.
    pub so_keepalive: Option<bool>,
    /// `ssl`: whether the address speaks TLS.
    pub ssl: bool,
    /// `http2`: whether the address speaks HTTP/2, whatever its servers say.
    pub http2: bool,
    /// Whether any option of the socket itself stands here (nginx allows them once per address).
    pub sets_options: bool,
    /// Where the line stands.
    pub place: Place,
}

/// The address of a `listen` line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// An IP address and a port; `*:80` is `0.0.0.0:80`.
    Inet(SocketAddr),
    /// A host name and a port, resolved at the start.
    Host(String, u16),
    /// `unix:/path`.
    Unix(PathBuf),
}
