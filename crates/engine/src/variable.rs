//! The variable table: every `$name` that a configuration may use, one row each.
//!
//! A row gives the name, the enum variant that the traffic side evaluates in an exhaustive `match`, and the sentence that
//! the generated reference prints. Families (`$http_*`, `$arg_*`, …) have a row of their own in [`FAMILIES`].

/// One value that a [`crate::template::Template`] can ask for, resolved from its name once, when the configuration is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Variable {
    /// A variable with a fixed name, such as `$host`.
    Builtin(Builtin),
    /// A member of a family, such as `$http_user_agent`; the text is the part after the family's prefix, in lower case.
    Member(Family, Box<str>),
    /// `$1` … `$9`: a group of the last regular expression that matched.
    Capture(u8),
    /// A variable that the configuration defines (`set`, `map`, a named capture): an index into its slots.
    Slot(usize),
}

/// One row of the variable table, as the generated reference prints it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The name without the dollar sign.
    pub name: &'static str,
    /// What the traffic side evaluates.
    pub builtin: Builtin,
    /// One sentence for the reference.
    pub doc: &'static str,
}

/// One row of the table of variable families.
#[derive(Debug, Clone, Copy)]
pub struct FamilyRow {
    /// The prefix that all members share, without the dollar sign: `http_`.
    pub prefix: &'static str,
    /// What the traffic side evaluates.
    pub family: Family,
    /// One sentence for the reference.
    pub doc: &'static str,
}

macro_rules! builtins {
    ($($variant:ident $name:literal $doc:literal;)*) => {
        /// The variables with fixed names. The doc comment of each is its row in the reference.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Builtin { $(#[doc = $doc] $variant),* }
        /// The variable table, in the order of the reference.
        pub const TABLE: &[Row] = &[$(Row { name: $name, builtin: Builtin::$variant, doc: $doc }),*];
    };
}

macro_rules! families {
    ($($variant:ident $prefix:literal $doc:literal;)*) => {
        /// The variable families, told apart by their prefix.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Family { $(#[doc = $doc] $variant),* }
        /// The table of families; a longer prefix stands before a shorter one that it begins with.
        pub const FAMILIES: &[FamilyRow] = &[$(FamilyRow { prefix: $prefix, family: Family::$variant, doc: $doc }),*];
    };
}

builtins! {
    Args "args" "The arguments in the request line, without the question mark.";
    BinaryRemoteAddr "binary_remote_addr" "The client's address in binary form: 4 bytes for IPv4, 16 for IPv6.";
    BodyBytesSent "body_bytes_sent" "Bytes sent to the client, not counting the response head.";
    BytesSent "bytes_sent" "Bytes sent to the client.";
    Connection "connection" "The serial number of the client connection.";
    ConnectionRequests "connection_requests" "How many requests this connection has carried so far.";
    ConnectionTime "connection_time" "The age of the client connection in seconds, with milliseconds.";
    ConnectionsActive "connections_active" "Client connections that are open, as `stub_status` counts them.";
    ConnectionsReading "connections_reading" "Client connections on which a request's head is being read.";
    ConnectionsWaiting "connections_waiting" "Client connections that wait for a request.";
    ConnectionsWriting "connections_writing" "Client connections on which a request is being answered, tunnels among them.";
    ContentLength "content_length" "The request's `Content-Length` header.";
    ContentType "content_type" "The request's `Content-Type` header.";
    DocumentRoot "document_root" "The folder of the current location's files: what `root` or `alias` says.";
    DateGmt "date_gmt" "The current time in GMT: `Sunday, 22-Nov-2026 07:00:00 GMT`.";
    DateLocal "date_local" "The current local time in the same form.";
    DocumentUri "document_uri" "The same as `$uri`.";
    GzipRatio "gzip_ratio" "How many times shorter compression made the response.";
    Host "host" "The host name from the request line, else from the `Host` header, else the server's name; in lower case, without the port.";
    Hostname "hostname" "The machine's host name.";
    Http2 "http2" "`h2` for a request of HTTP/2 over TLS, `h2c` for one of HTTP/2 in clear text, else empty.";
    Https "https" "`on` if the connection is encrypted, else empty.";
    InvalidReferer "invalid_referer" "`1` if the `Referer` is none of `valid_referers`, else empty.";
    IsArgs "is_args" "A question mark if the request has arguments, else empty.";
    IsRequestPort "is_request_port" "A colon if `$request_port` has a value, else empty.";
    LimitConnStatus "limit_conn_status" "What `limit_conn` did: `PASSED`, `REJECTED` or `REJECTED_DRY_RUN`.";
    LimitRate "limit_rate" "The response rate limit; empty unless it was set.";
    LimitReqStatus "limit_req_status" "What `limit_req` did: `PASSED`, `DELAYED`, `REJECTED`, `DELAYED_DRY_RUN` or `REJECTED_DRY_RUN`.";
    Msec "msec" "The current time in seconds, with milliseconds.";
    NginxVersion "nginx_version" "The version of nginx whose configuration language is followed.";
    CulvertVersion "culvert_version" "Culvert's own version.";
    Pid "pid" "The process id of the gateway.";
    Pipe "pipe" "`p` if the request was pipelined, else `.`.";
    ProxyAddXForwardedFor "proxy_add_x_forwarded_for" "The request's `X-Forwarded-For` with the client's address appended after a comma.";
    ProxyHost "proxy_host" "Name and port of the proxied server as `proxy_pass` gives them.";
    ProxyPort "proxy_port" "Port of the proxied server as `proxy_pass` gives it, or the scheme's default.";
    ProxyInternalBodyLength "proxy_internal_body_length" "The `Content-Length` of the request to the upstream; empty where it has none.";
    ProxyInternalChunked "proxy_internal_chunked" "`chunked` if the request to the upstream has a body of unknown length, else empty.";
    ProxyProtocolAddr "proxy_protocol_addr" "The client's address that the PROXY protocol's header names.";
    ProxyProtocolPort "proxy_protocol_port" "The client's port that the PROXY protocol's header names.";
    ProxyProtocolServerAddr "proxy_protocol_server_addr" "The address that the client connected to, as the PROXY protocol's header names it.";
    ProxyProtocolServerPort "proxy_protocol_server_port" "The port that the client connected to, as the PROXY protocol's header names it.";
    QueryString "query_string" "The same as `$args`.";
    RealipRemoteAddr "realip_remote_addr" "The address of the neighbour, where `real_ip_header` put the client's in its place.";
    RealipRemotePort "realip_remote_port" "The port of the neighbour, where `real_ip_header` put the client's in its place.";
    RealpathRoot "realpath_root" "The same as `$document_root`, with symbolic links resolved.";
    RemoteAddr "remote_addr" "The client's address.";
    RemotePort "remote_port" "The client's port.";
    RemoteUser "remote_user" "The user name of Basic authentication.";
    Request "request" "The whole request line as the client sent it.";
    RequestBody "request_body" "The request's body, where it was read into memory.";
    RequestBodyFile "request_body_file" "The file that the request's body was written to (`client_body_in_file_only`).";
    RequestCompletion "request_completion" "`OK` if the request was completed, else empty.";
    RequestFilename "request_filename" "The path of the file that the current URI stands for.";
    RequestId "request_id" "A unique identifier of the request: 16 random bytes in hexadecimal.";
    RequestLength "request_length" "Bytes of the request: line, headers and body.";
    RequestMethod "request_method" "The request's method.";
    RequestPort "request_port" "The port in the request line or the `Host` header.";
    RequestTime "request_time" "Seconds since the first byte of the request was read, with milliseconds.";
    RequestUri "request_uri" "The request target as the client sent it, with arguments.";
    Scheme "scheme" "`http` or `https`.";
    SecureLink "secure_link" "What `secure_link` says of the request: `1`, `0` for a link that has expired, or empty; with `secure_link_secret` the link.";
    SecureLinkExpires "secure_link_expires" "When the link of `secure_link` expires, in seconds since 1970.";
    ServerAddr "server_addr" "The address of the gateway that the client connected to.";
    ServerName "server_name" "The name of the server block that took the request.";
    ServerPort "server_port" "The port of the gateway that the client connected to.";
    ServerProtocol "server_protocol" "The protocol of the request, such as `HTTP/1.1`.";
    SslAlpnProtocol "ssl_alpn_protocol" "The protocol that ALPN chose, such as `http/1.1`.";
    SslCipher "ssl_cipher" "The cipher suite of the TLS connection, by OpenSSL's name.";
    SslCiphers "ssl_ciphers" "The cipher suites that the client offered, separated by colons; unknown ones as `0x…`.";
    SslClientCert "ssl_client_cert" "The client's certificate in PEM, each line but the first with a tab in front.";
    SslClientEscapedCert "ssl_client_escaped_cert" "The client's certificate in PEM, escaped as part of a URI.";
    SslClientFingerprint "ssl_client_fingerprint" "The SHA-1 of the client's certificate.";
    SslClientIDn "ssl_client_i_dn" "The issuer of the client's certificate (RFC 2253).";
    SslClientIDnLegacy "ssl_client_i_dn_legacy" "The issuer of the client's certificate as `/C=…/O=…`.";
    SslClientRawCert "ssl_client_raw_cert" "The client's certificate in PEM.";
    SslClientSDn "ssl_client_s_dn" "The subject of the client's certificate (RFC 2253).";
    SslClientSDnLegacy "ssl_client_s_dn_legacy" "The subject of the client's certificate as `/C=…/O=…`.";
    SslClientSerial "ssl_client_serial" "The serial number of the client's certificate.";
    SslClientVEnd "ssl_client_v_end" "Until when the client's certificate is valid.";
    SslClientVRemain "ssl_client_v_remain" "For how many days the client's certificate is still valid.";
    SslClientVStart "ssl_client_v_start" "From when the client's certificate is valid.";
    SslClientVerify "ssl_client_verify" "`SUCCESS`, `FAILED:reason`, or `NONE` where the client has shown no certificate.";
    SslCurve "ssl_curve" "The group of the key exchange.";
    SslCurves "ssl_curves" "The groups that the client offered, separated by colons.";
    SslEarlyData "ssl_early_data" "`1` if the request came as early data and the handshake is not complete, so that it may be a replay.";
    SslProtocol "ssl_protocol" "The version of TLS, such as `TLSv1.3`.";
    SslServerName "ssl_server_name" "The server name that the client asked for in its handshake (SNI).";
    SslSessionId "ssl_session_id" "A number of the TLS session, the same whenever the session is taken up again.";
    SslSessionReused "ssl_session_reused" "`r` if an earlier session was taken up, else `.`.";
    Status "status" "The status of the response.";
    TcpinfoRcvSpace "tcpinfo_rcv_space" "The kernel's `tcpi_rcv_space` of the client connection.";
    TcpinfoRtt "tcpinfo_rtt" "The kernel's `tcpi_rtt` of the client connection, in microseconds.";
    TcpinfoRttvar "tcpinfo_rttvar" "The kernel's `tcpi_rttvar` of the client connection, in microseconds.";
    TcpinfoSndCwnd "tcpinfo_snd_cwnd" "The kernel's `tcpi_snd_cwnd` of the client connection.";
    TimeIso8601 "time_iso8601" "Local time in ISO 8601 form.";
    TimeLocal "time_local" "Local time in the common log format.";
    UpstreamAddr "upstream_addr" "The address of the server that took the request; several, separated by commas, where several were tried.";
    UpstreamBytesReceived "upstream_bytes_received" "Bytes received from the upstream server, one number per try.";
    UpstreamBytesSent "upstream_bytes_sent" "Bytes sent to the upstream server, one number per try.";
    UpstreamCacheEtag "upstream_cache_etag" "Always empty: there is no cache.";
    UpstreamCacheLastModified "upstream_cache_last_modified" "Always empty: there is no cache.";
    UpstreamCacheStatus "upstream_cache_status" "`BYPASS` where a `proxy_cache` is configured, since there is none; else empty.";
    UpstreamConnectTime "upstream_connect_time" "Seconds spent connecting to the upstream server, one number per try.";
    UpstreamHeaderTime "upstream_header_time" "Seconds until the response head from the upstream server, one number per try.";
    UpstreamLastAddr "upstream_last_addr" "The address of the upstream server that was chosen last.";
    UpstreamLastServerName "upstream_last_server_name" "The name of the upstream server that was chosen last, as its `server` line has it.";
    UpstreamQueueTime "upstream_queue_time" "Seconds spent waiting in the upstream's `queue`, one number per try.";
    UpstreamResponseLength "upstream_response_length" "Bytes of the response body from the upstream server, one number per try.";
    UpstreamResponseTime "upstream_response_time" "Seconds until the last byte from the upstream server, one number per try.";
    UpstreamStatus "upstream_status" "The status that the upstream server answered, one number per try.";
    Uri "uri" "The current URI of the request: decoded, normalised, and changed by internal redirects.";
    WebsocketBytesReceived "websocket_bytes_received" "Bytes of the WebSocket messages from the client, frame headers not counted. Like the other values of a tunnel's frames it is known once the tunnel has ended, and not in the raw mode.";
    WebsocketBytesSent "websocket_bytes_sent" "Bytes of the WebSocket messages to the client, frame headers not counted.";
    WebsocketCloseCause "websocket_close_cause" "Why the WebSocket ended: `close`, `reset`, `eof`, `idle`, `ping_timeout`, `limit`, `rate`, `protocol`, `age`, `drain` or `timeout`.";
    WebsocketCloseCode "websocket_close_code" "The code of the Close frame that ended the WebSocket; 1005 for one without a code.";
    WebsocketCloseReason "websocket_close_reason" "The reason in the Close frame that ended the WebSocket.";
    WebsocketClosedBy "websocket_closed_by" "Who ended the WebSocket: `client`, `server` or `gateway`.";
    WebsocketExtensions "websocket_extensions" "The extensions that the handshake negotiated.";
    WebsocketMessagesReceived "websocket_messages_received" "WebSocket messages from the client.";
    WebsocketMessagesSent "websocket_messages_sent" "WebSocket messages to the client.";
    WebsocketPingRtt "websocket_ping_rtt" "Seconds between the gateway's last ping to the client and its pong, with milliseconds.";
    WebsocketProtocol "websocket_protocol" "The subprotocol that the handshake negotiated.";
    WebsocketViolations "websocket_violations" "How often the frames of a WebSocket broke a rule of RFC 6455, where they are validated, or a limit.";
}

families! {
    Arg "arg_" "The named argument of the request line.";
    Cookie "cookie_" "The named cookie of the request.";
    Http "http_" "The named request header: lower case, dashes as underscores.";
    ProxyProtocolTlv "proxy_protocol_tlv_" "The named field of the PROXY protocol's header: `alpn`, `authority`, `unique_id`, `netns`, `ssl_version`, `ssl_cn`, `ssl_cipher`, `ssl_sig_alg`, `ssl_key_alg`, `ssl_verify`, those of clouds (`aws_vpce_id`, `azure_pel_id`, `gcp_conn_id`), or a type as `0xea`.";
    SentHttp "sent_http_" "The named response header: lower case, dashes as underscores.";
    SentTrailer "sent_trailer_" "The named response trailer: lower case, dashes as underscores.";
    UpstreamCookie "upstream_cookie_" "The named cookie of the upstream server's `Set-Cookie`.";
    UpstreamHttp "upstream_http_" "The named header of the upstream server's response: lower case, dashes as underscores.";
    UpstreamTrailer "upstream_trailer_" "The named trailer of the upstream server's response: lower case, dashes as underscores.";
}

/// Finds a variable by its name (without the dollar sign): a row of [`TABLE`] or a member of [`FAMILIES`].
/// Names are compared in lower case, as nginx does. `None` for a name that only a configuration could define.
pub fn builtin(name: &str) -> Option<Variable> {
    let name = name.to_ascii_lowercase();
    if let Some(row) = TABLE.iter().find(|row| row.name == name) {
        return Some(Variable::Builtin(row.builtin));
    }
    FAMILIES
        .iter()
        .find(|row| name.starts_with(row.prefix))
        .map(|row| Variable::Member(row.family, name[row.prefix.len()..].into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        for row in TABLE {
            assert_eq!(builtin(row.name), Some(Variable::Builtin(row.builtin)), "{}", row.name);
            assert_eq!(builtin(&row.name.to_uppercase()), Some(Variable::Builtin(row.builtin)), "{}", row.name);
            assert!(row.doc.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn a_name_stands_in_one_row() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(TABLE[index + 1..].iter().all(|other| other.name != row.name), "{}", row.name);
        }
    }

    #[test]
    fn members_are_told_by_the_longest_prefix_that_fits() {
        assert_eq!(builtin("HTTP_Upgrade"), Some(Variable::Member(Family::Http, "upgrade".into())));
        assert_eq!(builtin("upstream_http_x"), Some(Variable::Member(Family::UpstreamHttp, "x".into())));
        assert_eq!(builtin("http_"), Some(Variable::Member(Family::Http, "".into())));
        assert_eq!(builtin("no_such"), None);
    }
}
