//! The value of every variable, computed when it is asked for.

use super::client::OutHead;
use super::content::files;
use super::{Exchange, Try, route};
use crate::io::TcpInfo;
use crate::io::clock::now;
use crate::observe::clock;
use crate::observe::metrics::{self, Tally};
use culvert_conf::config::{Level, LocationKind, SlotKind};
use culvert_engine::http1::{BodyLength, Headers, Protocol, RequestHead};
use culvert_engine::proxy_protocol::ProxyHeader;
use culvert_engine::template::Template;
use culvert_engine::variable::{Builtin, Family, Variable};
use culvert_engine::websocket::has_token;
use std::net::SocketAddr;
use std::time::Duration;

/// Maps may ask maps; a chain longer than this is a cycle.
const MAPS_DEEP_MAX: u8 = 16;

impl Exchange {
    /// The text of `template` for this exchange.
    pub(crate) fn render(&self, template: &Template) -> Vec<u8> {
        match template.as_literal() {
            Some(text) => text.to_vec(),
            None => {
                let mut out = Vec::new();
                template.render(&mut out, |variable, out| {
                    self.append(variable, None, out);
                });
                out
            }
        }
    }

    /// The same while `head` is about to be sent, so that `$sent_http_*` can look at it.
    pub(super) fn render_with_head(&self, template: &Template, head: &OutHead) -> Vec<u8> {
        let mut out = Vec::new();
        template.render(&mut out, |variable, out| {
            self.append(variable, Some(head), out);
        });
        out
    }

    /// Appends the value of `variable`. False where it has none, which logs print as `-`.
    pub(crate) fn append(&self, variable: &Variable, head: Option<&OutHead>, out: &mut Vec<u8>) -> bool {
        match variable {
            Variable::Builtin(builtin) => self.append_builtin(*builtin, head, out),
            Variable::Member(family, name) => self.append_member(*family, name, head, out),
            Variable::Capture(group) => put(out, self.captures.borrow().get(usize::from(*group))),
            Variable::Slot(slot) => self.append_slot(*slot, out),
        }
    }

    fn append_builtin(&self, builtin: Builtin, head: Option<&OutHead>, out: &mut Vec<u8>) -> bool {
        let request = &self.request;
        let headers = &request.head.headers;
        match builtin {
            Builtin::Args | Builtin::QueryString => put(out, request.has_args.then_some(&request.args[..])),
            Builtin::BinaryRemoteAddr => put_binary(out, self.client.remote),
            Builtin::BodyBytesSent => put_number(out, self.sent.bytes.saturating_sub(self.sent.head_bytes)),
            Builtin::BytesSent => put_number(out, self.sent.bytes),
            Builtin::Connection => put_number(out, self.client.serial),
            Builtin::ConnectionRequests => put_number(out, request.nth),
            Builtin::ConnectionTime => put_seconds(out, now().duration_since(self.client.opened)),
            Builtin::ConnectionsActive => put_number(out, metrics::sum(Tally::Active)),
            Builtin::ConnectionsReading => put_number(out, metrics::sum(Tally::Reading)),
            Builtin::ConnectionsWaiting => put_number(out, metrics::sum(Tally::Waiting)),
            Builtin::ConnectionsWriting => put_number(out, metrics::sum(Tally::Writing)),
            Builtin::ContentLength => put(out, headers.first("content-length")),
            Builtin::ContentType => put(out, headers.first("content-type")),
            Builtin::DocumentRoot => put_some(out, &files::root(self)),
            Builtin::RealpathRoot => put(out, files::real_root(self).as_deref()),
            Builtin::RequestFilename => put(out, files::disk_path(self).as_ref().map(files::DiskPath::bytes)),
            Builtin::DateGmt => put_with(out, clock::date_gmt),
            Builtin::DateLocal => put_with(out, clock::date_local),
            Builtin::DocumentUri | Builtin::Uri => put(out, request.target_is_read.then_some(&request.uri[..])),
            Builtin::GzipRatio => put(out, self.gzip_ratio.and_then(ratio).as_deref()),
            Builtin::Host => self.put_host(out),
            Builtin::Hostname => put_some(out, self.generation.hostname.as_bytes()),
            Builtin::Http2 if !is_http2(&request.head) => put_some(out, b""),
            Builtin::Http2 => put_some(out, if self.client.tls.is_some() { b"h2" } else { b"h2c" }),
            Builtin::Https => put_some(out, if self.client.tls.is_some() { b"on" } else { b"" }),
            Builtin::InvalidReferer => put_some(out, if self.has_invalid_referer() { b"1" } else { b"" }),
            Builtin::IsArgs => put_some(out, if request.args.is_empty() { b"" } else { b"?" }),
            Builtin::IsRequestPort => put_some(out, if request.port.is_some() { b":" } else { b"" }),
            Builtin::LimitRate => put_number(out, self.limit_rate.unwrap_or(0)),
            Builtin::LimitConnStatus => put(out, self.ledger.connections.map(str::as_bytes)),
            Builtin::LimitReqStatus => put(out, self.ledger.requests.map(str::as_bytes)),
            Builtin::Msec => put_with(out, clock::msec),
            Builtin::NginxVersion => put_some(out, crate::NGINX_VERSION.as_bytes()),
            Builtin::CulvertVersion => put_some(out, env!("CARGO_PKG_VERSION").as_bytes()),
            Builtin::Pid => put_number(out, std::process::id().into()),
            Builtin::Pipe => put_some(out, if request.pipelined { b"p" } else { b"." }),
            Builtin::ProxyAddXForwardedFor => self.put_forwarded_for(out),
            Builtin::ProxyHost => put(out, self.proxied.as_ref().map(|(host, _)| &host[..])),
            Builtin::ProxyPort => put(out, self.proxied.as_ref().map(|(_, port)| &port[..])),
            Builtin::ProxyInternalBodyLength => match self.body_out {
                BodyLength::Sized(length) => put_number(out, length),
                _ => false,
            },
            Builtin::ProxyInternalChunked => {
                put(out, (self.body_out == BodyLength::Chunked).then_some(b"chunked".as_slice()))
            }
            Builtin::ProxyProtocolAddr => self.put_proxy(out, |header| header.source, put_ip),
            Builtin::ProxyProtocolPort => self.put_proxy(out, |header| header.source, put_port),
            Builtin::ProxyProtocolServerAddr => self.put_proxy(out, |header| header.destination, put_ip),
            Builtin::ProxyProtocolServerPort => self.put_proxy(out, |header| header.destination, put_port),
            Builtin::RealipRemoteAddr => put_ip(out, self.client.neighbour.unwrap_or(self.client.remote)),
            Builtin::RealipRemotePort => put_port(out, self.client.neighbour.unwrap_or(self.client.remote)),
            Builtin::RemoteAddr => put_ip(out, self.client.remote),
            Builtin::RemotePort => put_port(out, self.client.remote),
            Builtin::RemoteUser => put(out, remote_user(headers).as_deref()),
            Builtin::Request => put_some(out, request.head.line()),
            Builtin::RequestBody => put(out, request.body_bytes.as_deref()),
            Builtin::RequestBodyFile => false,
            Builtin::RequestCompletion => put_some(out, if self.sent.complete { b"OK" } else { b"" }),
            Builtin::RequestId => put_some(out, request.id().as_bytes()),
            Builtin::RequestLength => put_number(out, request.received),
            // A subrequest is a GET, on behalf of a request that may be none.
            Builtin::RequestMethod if self.is_subrequest => put_some(out, request.head.method()),
            Builtin::RequestMethod => put(out, Some(request.method()).filter(|method| !method.is_empty())),
            Builtin::RequestPort => request.port.is_some_and(|port| put_number(out, port.into())),
            Builtin::RequestTime => put_seconds(out, now().duration_since(request.began)),
            Builtin::RequestUri => put(out, Some(request.unparsed()).filter(|uri| !uri.is_empty())),
            Builtin::Scheme => put_some(out, self.client.scheme().as_bytes()),
            Builtin::SecureLink => put(out, self.secure_link().as_deref()),
            Builtin::SecureLinkExpires => put(out, self.secure_link_expires().as_deref()),
            Builtin::ServerAddr => put_ip(out, self.client.local),
            Builtin::ServerName => put_some(out, route::name_of(&self.server).as_bytes()),
            Builtin::ServerPort => put_port(out, self.client.local),
            Builtin::ServerProtocol => self.put_protocol(out),
            Builtin::SslAlpnProtocol
            | Builtin::SslCipher
            | Builtin::SslCiphers
            | Builtin::SslClientCert
            | Builtin::SslClientEscapedCert
            | Builtin::SslClientFingerprint
            | Builtin::SslClientIDn
            | Builtin::SslClientIDnLegacy
            | Builtin::SslClientRawCert
            | Builtin::SslClientSDn
            | Builtin::SslClientSDnLegacy
            | Builtin::SslClientSerial
            | Builtin::SslClientVEnd
            | Builtin::SslClientVRemain
            | Builtin::SslClientVStart
            | Builtin::SslClientVerify
            | Builtin::SslCurve
            | Builtin::SslCurves
            | Builtin::SslEarlyData
            | Builtin::SslProtocol
            | Builtin::SslServerName
            | Builtin::SslSessionId
            | Builtin::SslSessionReused => self.client.tls.as_ref().is_some_and(|tls| tls.append(builtin, out)),
            Builtin::Status => put_some(out, format!("{:03}", self.status(head)).as_bytes()),
            Builtin::TcpinfoRcvSpace => self.put_tcp(out, |info| info.rcv_space),
            Builtin::TcpinfoRtt => self.put_tcp(out, |info| info.rtt),
            Builtin::TcpinfoRttvar => self.put_tcp(out, |info| info.rttvar),
            Builtin::TcpinfoSndCwnd => self.put_tcp(out, |info| info.snd_cwnd),
            Builtin::TimeIso8601 => put_with(out, clock::time_iso8601),
            Builtin::TimeLocal => put_with(out, clock::time_local),
            Builtin::UpstreamAddr => self.put_tries(out, put_addr),
            Builtin::UpstreamBytesReceived => self.put_tries(out, |attempt, out| {
                put_number(out, attempt.bytes_received);
            }),
            Builtin::UpstreamBytesSent => self.put_tries(out, |attempt, out| {
                put_number(out, attempt.bytes_sent);
            }),
            Builtin::UpstreamCacheEtag | Builtin::UpstreamCacheLastModified => false,
            Builtin::UpstreamCacheStatus => {
                let bypassed = self.location.proxy.response.cache && !self.tries.is_empty();
                put(out, bypassed.then_some(b"BYPASS".as_slice()))
            }
            Builtin::UpstreamConnectTime => self.put_tries(out, |attempt, out| put_time(attempt.connect_time, out)),
            Builtin::UpstreamHeaderTime => self.put_tries(out, |attempt, out| put_time(attempt.header_time, out)),
            Builtin::UpstreamLastServerName => {
                let last = self.tries.iter().rev().find_map(|attempt| attempt.peer.as_ref());
                put(out, last.map(|peer| server_name(&peer.name).as_bytes()))
            }
            Builtin::UpstreamQueueTime => self.put_tries(out, |attempt, out| put_time(attempt.queue_time, out)),
            Builtin::UpstreamResponseLength => self.put_tries(out, |attempt, out| {
                put_number(out, attempt.response_length);
            }),
            Builtin::UpstreamResponseTime => self.put_tries(out, |attempt, out| {
                put_time(attempt.response_time.or_else(|| Some(now().duration_since(attempt.began))), out);
            }),
            Builtin::UpstreamStatus => self.put_tries(out, |attempt, out| match attempt.status {
                0 => out.push(b'-'),
                status => out.extend_from_slice(format!("{status:03}").as_bytes()),
            }),
            Builtin::WebsocketExtensions => put(out, self.chosen("sec-websocket-extensions")),
            Builtin::WebsocketProtocol => put(out, self.chosen("sec-websocket-protocol")),
            // Only a tunnel has these, and only once it has ended: see observe::access_log.
            Builtin::WebsocketBytesReceived
            | Builtin::WebsocketBytesSent
            | Builtin::WebsocketCloseCause
            | Builtin::WebsocketCloseCode
            | Builtin::WebsocketCloseReason
            | Builtin::WebsocketClosedBy
            | Builtin::WebsocketMessagesReceived
            | Builtin::WebsocketMessagesSent
            | Builtin::WebsocketPingRtt
            | Builtin::WebsocketViolations => false,
        }
    }

    /// What the server chose in its 101.
    fn chosen(&self, header: &str) -> Option<&[u8]> {
        self.upstream_headers.first(header).filter(|_| self.sent.status == 101)
    }

    fn append_member(&self, family: Family, name: &str, head: Option<&OutHead>, out: &mut Vec<u8>) -> bool {
        let request = &self.request.head.headers;
        if name.is_empty() {
            return false;
        }
        match family {
            Family::Arg => put(out, argument(&self.request.args, name)),
            Family::Cookie => put(out, cookie(request, "cookie", name)),
            Family::Http => put_header(out, request, name, if name == "cookie" { b"; " } else { b", " }),
            Family::ProxyProtocolTlv => {
                let value = self.client.proxy.as_ref().and_then(|header| header.tlv(name));
                put(out, value.as_deref())
            }
            Family::SentHttp => self.put_sent(out, name, head),
            // The upstream's trailers are the client's too, if it takes any.
            Family::SentTrailer => {
                let takes = request.all("te").any(|list| has_token(list, "trailers"));
                let passes = takes && self.location.proxy.response.pass_trailers;
                passes && put_header(out, &self.upstream_trailers, name, b", ")
            }
            Family::UpstreamCookie => put(out, cookie(&self.upstream_headers, "set-cookie", name)),
            Family::UpstreamHttp => put_header(out, &self.upstream_headers, name, b", "),
            Family::UpstreamTrailer => put_header(out, &self.upstream_trailers, name, b", "),
        }
    }

    fn append_slot(&self, slot: usize, out: &mut Vec<u8>) -> bool {
        if let Some(value) = &self.slots.borrow()[slot] {
            return put_some(out, value);
        }
        match self.generation.config.http.slots[slot].kind {
            SlotKind::Assigned => self.append_unset(slot),
            SlotKind::Captured | SlotKind::Absent => false,
            SlotKind::Map(map) => self.append_map(slot, map, out),
            SlotKind::Geo(geo) => self.append_computed(slot, out, || self.geo(geo)),
            SlotKind::Split(split) => self.append_computed(slot, out, || (self.split(split), false)),
        }
    }

    /// A variable that no `set` has given a value: empty, and once a line in the log.
    fn append_unset(&self, slot: usize) -> bool {
        if self.location.uninitialized_variable_warn {
            let name = &self.generation.config.http.slots[slot].name;
            self.log(Level::Warn, format_args!("using uninitialized \"{name}\" variable"));
        }
        self.slots.borrow_mut()[slot] = Some(Box::default());
        true
    }

    /// A value that may depend on other variables, kept unless it is to be computed anew each time.
    fn append_computed(&self, slot: usize, out: &mut Vec<u8>, compute: impl FnOnce() -> (Vec<u8>, bool)) -> bool {
        if self.depth.get() >= MAPS_DEEP_MAX {
            self.log(Level::Error, "cycle while evaluating variables");
            return false;
        }
        self.depth.set(self.depth.get() + 1);
        let (value, is_volatile) = compute();
        self.depth.set(self.depth.get() - 1);
        out.extend_from_slice(&value);
        if !is_volatile {
            self.slots.borrow_mut()[slot] = Some(value.into());
        }
        true
    }

    /// An address of the PROXY protocol's header.
    fn put_proxy(
        &self,
        out: &mut Vec<u8>,
        which: impl Fn(&ProxyHeader) -> Option<SocketAddr>,
        put: impl Fn(&mut Vec<u8>, Option<SocketAddr>) -> bool,
    ) -> bool {
        match self.client.proxy.as_deref().and_then(which) {
            Some(address) => put(out, Some(address)),
            None => false,
        }
    }

    fn append_map(&self, slot: usize, map: usize, out: &mut Vec<u8>) -> bool {
        let map = &self.generation.config.http.maps[map];
        if self.depth.get() >= MAPS_DEEP_MAX {
            self.log(Level::Error, "cycle while evaluating a map's variables");
            return false;
        }
        self.depth.set(self.depth.get() + 1);
        let value = match map.table.lookup(&self.render(&map.source)) {
            Ok(Some(found)) => {
                if let Some(captures) = found.captures {
                    self.captures.replace(captures);
                    self.assign(found.assigns);
                }
                self.render(found.value)
            }
            Ok(None) => Vec::new(),
            Err(slow) => {
                self.log(Level::Error, format_args!("{slow} in a map"));
                Vec::new()
            }
        };
        self.depth.set(self.depth.get() - 1);
        out.extend_from_slice(&value);
        if !map.volatile {
            self.slots.borrow_mut()[slot] = Some(value.into());
        }
        true
    }

    /// The response's status, or the one that it is about to have; 0 while there is none.
    fn status(&self, head: Option<&OutHead>) -> u16 {
        match (head, self.sent.status) {
            (Some(head), _) => head.status,
            (None, 0) => self.forced_status.unwrap_or(0),
            (None, status) => status,
        }
    }

    fn put_host(&self, out: &mut Vec<u8>) -> bool {
        match &self.request.host[..] {
            [] => put_some(out, route::name_of(&self.server).as_bytes()),
            host => put_some(out, host),
        }
    }

    fn put_protocol(&self, out: &mut Vec<u8>) -> bool {
        if self.request.head.method().is_empty() {
            return put_some(out, b"HTTP/1.0");
        }
        match self.request.head.protocol {
            Protocol::Http1 => put_some(out, format!("HTTP/1.{}", self.request.head.minor).as_bytes()),
            Protocol::Http2 => put_some(out, b"HTTP/2.0"),
        }
    }

    fn put_tcp(&self, out: &mut Vec<u8>, value: fn(&TcpInfo) -> u32) -> bool {
        self.tcp_info.as_ref().is_some_and(|info| put_number(out, value(info).into()))
    }

    fn put_forwarded_for(&self, out: &mut Vec<u8>) -> bool {
        if put_header(out, &self.request.head.headers, "x_forwarded_for", b", ") {
            out.extend_from_slice(b", ");
        }
        put_ip(out, self.client.remote)
    }

    fn put_sent(&self, out: &mut Vec<u8>, name: &str, head: Option<&OutHead>) -> bool {
        let (headers, length, has_body) = match head {
            Some(head) => (&head.headers, head.content_length, head.has_body),
            None => (&self.sent.headers, self.sent.content_length, self.sent.has_body),
        };
        match (name, length) {
            ("content_length", Some(length)) => put_number(out, length),
            ("connection", _) if head.is_none() => {
                put(out, Some(self.sent.connection.as_bytes()).filter(|said| !said.is_empty()))
            }
            ("transfer_encoding", None) if has_body && self.request.head.minor > 0 && !is_http2(&self.request.head) => {
                put_some(out, b"chunked")
            }
            _ => put_header(out, headers, name, b", "),
        }
    }

    /// `$arg_NAME`.
    pub(super) fn argument(&self, name: &str) -> Option<&[u8]> {
        argument(&self.request.args, name)
    }

    /// One value per try: `, ` between servers, ` : ` where an internal redirect stands between them.
    fn put_tries(&self, out: &mut Vec<u8>, put: impl Fn(&Try, &mut Vec<u8>)) -> bool {
        for (nth, attempt) in self.tries.iter().enumerate() {
            match (nth, attempt.after_redirect) {
                (0, _) => {}
                (_, true) => out.extend_from_slice(b" : "),
                (_, false) => out.extend_from_slice(b", "),
            }
            put(attempt, out);
        }
        !self.tries.is_empty()
    }

    /// Copies groups of the last match to the slots of the names that they have.
    pub(super) fn assign(&self, assigns: &[(usize, usize)]) {
        let captures = self.captures.borrow();
        let mut slots = self.slots.borrow_mut();
        for &(group, slot) in assigns {
            slots[slot] = Some(captures.get(group).unwrap_or_default().into());
        }
    }

    /// How many bytes of the URI the location's name took, for `proxy_pass` with a URI.
    pub(super) fn matched_length(&self) -> usize {
        match self.location.kind {
            LocationKind::Exact | LocationKind::Prefix => self.location.name.len().min(self.request.uri.len()),
            _ => 0,
        }
    }
}

fn is_http2(head: &RequestHead) -> bool {
    head.protocol == Protocol::Http2
}

/// The name of a `server` line without its port.
fn server_name(server: &str) -> &str {
    match server.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => server,
    }
}

/// How many times shorter something became, to hundredths.
fn ratio((read, written): (u64, u64)) -> Option<Vec<u8>> {
    let thousandths = read.checked_mul(1000)?.checked_div(written)?;
    let hundredths = (thousandths + 5) / 10;
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100).into_bytes())
}

fn put(out: &mut Vec<u8>, value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| put_some(out, value))
}

fn put_some(out: &mut Vec<u8>, value: &[u8]) -> bool {
    out.extend_from_slice(value);
    true
}

fn put_with(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> bool {
    write(out);
    true
}

fn put_number(out: &mut Vec<u8>, number: u64) -> bool {
    put_some(out, itoa::Buffer::new().format(number).as_bytes())
}

fn put_seconds(out: &mut Vec<u8>, time: Duration) -> bool {
    clock::write_millis(out, time.as_millis());
    true
}

fn put_time(time: Option<Duration>, out: &mut Vec<u8>) {
    match time {
        Some(time) => clock::write_millis(out, time.as_millis()),
        None => out.push(b'-'),
    }
}

fn put_addr(attempt: &Try, out: &mut Vec<u8>) {
    match attempt.endpoint() {
        Some(endpoint) => out.extend_from_slice(endpoint.to_string().as_bytes()),
        None => out.extend_from_slice(attempt.upstream.name.as_bytes()),
    }
}

fn put_ip(out: &mut Vec<u8>, addr: Option<SocketAddr>) -> bool {
    match addr {
        Some(addr) => put_some(out, addr.ip().to_canonical().to_string().as_bytes()),
        None => put_some(out, b"unix:"),
    }
}

fn put_port(out: &mut Vec<u8>, addr: Option<SocketAddr>) -> bool {
    match addr {
        // An address that a header named may have no port.
        Some(addr) if addr.port() == 0 => put_some(out, b""),
        Some(addr) => put_number(out, addr.port().into()),
        None => put_some(out, b""),
    }
}

fn put_binary(out: &mut Vec<u8>, addr: Option<SocketAddr>) -> bool {
    match addr.map(|addr| addr.ip().to_canonical()) {
        Some(std::net::IpAddr::V4(ip)) => put_some(out, &ip.octets()),
        Some(std::net::IpAddr::V6(ip)) => put_some(out, &ip.octets()),
        None => put_some(out, b"unix:"),
    }
}

/// All headers of a name as nginx's variables spell it: lower case, dashes as underscores.
fn put_header(out: &mut Vec<u8>, headers: &Headers, name: &str, separator: &[u8]) -> bool {
    let spelt = |line: &[u8]| {
        line.len() == name.len()
            && line.iter().zip(name.bytes()).all(|(&b, wanted)| match b {
                b'-' => wanted == b'_',
                _ => b.to_ascii_lowercase() == wanted,
            })
    };
    let mut found = false;
    for (_, value) in headers.iter().filter(|(line, _)| spelt(line)) {
        if found {
            out.extend_from_slice(separator);
        }
        out.extend_from_slice(value);
        found = true;
    }
    found
}

/// The value of the first argument of this name, as it was sent.
fn argument<'a>(args: &'a [u8], name: &str) -> Option<&'a [u8]> {
    args.split(|&b| b == b'&').find_map(|argument| {
        let (key, value) = argument.split_at_checked(name.len())?;
        key.eq_ignore_ascii_case(name.as_bytes()).then_some(())?;
        value.strip_prefix(b"=")
    })
}

/// The value of a cookie in any header of the name `header`.
fn cookie<'a>(headers: &'a Headers, header: &'a str, name: &str) -> Option<&'a [u8]> {
    headers.all(header).flat_map(|line| line.split(|&b| b == b';')).find_map(|pair| {
        let (key, value) = pair.trim_ascii().split_at_checked(name.len())?;
        key.eq_ignore_ascii_case(name.as_bytes()).then_some(())?;
        value.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii_start)
    })
}

/// The user of `Authorization: Basic` (RFC 7617).
fn remote_user(headers: &Headers) -> Option<Vec<u8>> {
    use base64::Engine;
    let value = headers.first("authorization")?;
    let (scheme, token) = value.split_at_checked(6)?;
    scheme.eq_ignore_ascii_case(b"basic ").then_some(())?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(token.trim_ascii()).ok()?;
    let end = decoded.iter().position(|&b| b == b':')?;
    Some(decoded[..end].to_vec())
}
