//! What a server says about HTTP/2.

/// The values of nginx's `ngx_http_v2_module` that belong to a server. Only those of an address's default server count for a
/// connection in clear text; over TLS those of the server that the client named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Settings {
    /// `http2`.
    pub on: bool,
    /// `http2_max_concurrent_streams`.
    pub streams_max: u32,
    /// `http2_body_preread_size` in bytes: how much of a request's body a client may send before it is asked for.
    pub body_preread_bytes: u32,
}
