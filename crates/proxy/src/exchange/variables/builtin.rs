//! Variables that have a name of their own: a row for each.

use super::member::put_header;
use super::tries::put_addr;
use super::write::{put, put_binary, put_ip, put_number, put_port, put_seconds, put_some, put_time, put_with};
use crate::exchange::client::OutHead;
use crate::exchange::content::files;
use crate::exchange::{Exchange, route};
use crate::io::TcpInfo;
use crate::io::clock::now;
use crate::observe::clock;
use crate::observe::metrics::{self, Tally};
use culvert_engine::http1::{BodyLength, Headers, Protocol};
use culvert_engine::proxy_protocol::ProxyHeader;
use culvert_engine::variable::Builtin;
use std::net::SocketAddr;

impl Exchange {
    /// Appends the value of the variable of this name.
    pub(super) fn append_builtin(&self, builtin: Builtin, head: Option<&OutHead>, out: &mut Vec<u8>) -> bool {
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
            Builtin::Http2 if request.head.protocol != Protocol::Http2 => put_some(out, b""),
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
            Builtin::ProxyHost => put(out, self.proxied.as_ref().map(|name| &name.host[..])),
            Builtin::ProxyPort => put(out, self.proxied.as_ref().map(|name| &name.port[..])),
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
            Builtin::RequestBodyFile => {
                let path = request.body_file.as_ref().map(|saved| saved.path().as_os_str().as_encoded_bytes());
                put(out, path)
            }
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
            Builtin::UpstreamBytesReceived => {
                self.put_tries(out, |attempt, out| put_number(out, attempt.bytes_received))
            }
            Builtin::UpstreamBytesSent => self.put_tries(out, |attempt, out| put_number(out, attempt.bytes_sent)),
            Builtin::UpstreamCacheEtag | Builtin::UpstreamCacheLastModified => false,
            Builtin::UpstreamCacheStatus => {
                let bypassed = self.location.proxy.response.cache && !self.tries.is_empty();
                put(out, bypassed.then_some(b"BYPASS".as_slice()))
            }
            Builtin::UpstreamConnectTime => self.put_tries(out, |attempt, out| put_time(out, attempt.connect_time)),
            Builtin::UpstreamHeaderTime => self.put_tries(out, |attempt, out| put_time(out, attempt.header_time)),
            Builtin::UpstreamLastAddr => {
                let last = self.tries.iter().rev().find(|attempt| attempt.peer().is_some());
                last.is_some_and(|attempt| put_addr(attempt, out))
            }
            Builtin::UpstreamLastServerName => put(out, self.last_server_name().map(str::as_bytes)),
            Builtin::UpstreamQueueTime => self.put_tries(out, |attempt, out| put_time(out, attempt.queue_time)),
            Builtin::UpstreamResponseLength => {
                self.put_tries(out, |attempt, out| put_number(out, attempt.response_length))
            }
            Builtin::UpstreamResponseTime => self.put_tries(out, |attempt, out| {
                put_time(out, attempt.response_time.or_else(|| Some(now().duration_since(attempt.began))))
            }),
            Builtin::UpstreamStatus => self.put_tries(out, |attempt, out| match attempt.status {
                0 => put_some(out, b"-"),
                status => put_some(out, format!("{status:03}").as_bytes()),
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
}

/// How many times shorter something became, to hundredths.
fn ratio((read, written): (u64, u64)) -> Option<Vec<u8>> {
    let thousandths = read.checked_mul(1000)?.checked_div(written)?;
    let hundredths = (thousandths + 5) / 10;
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100).into_bytes())
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
