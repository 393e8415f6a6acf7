//! What a configuration says about a connection as a whole. A connection takes it over anew with each request, so that a
//! reload holds for the next one, and keeps no generation.

use crate::front::h1::limits;
use crate::lifecycle::Generation;
use crate::observe::error_log::ErrorSink;
use culvert_conf::config::Http2Settings;
use culvert_engine::http1::HeadLimits;
use std::sync::Arc;
use std::time::Duration;

/// The values of the default server of a connection's address.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) http2: Http2Settings,
    /// Some location there can serve a WebSocket.
    has_websockets: bool,
    /// How long a request's head may be.
    pub(super) head: HeadLimits,
    /// `client_header_timeout`.
    pub(super) header_timeout: Duration,
    /// `send_timeout`.
    pub(super) send_timeout: Duration,
    /// `keepalive_timeout`.
    pub(super) keepalive_timeout: Duration,
    /// `keepalive_requests`.
    pub(super) requests_max: u64,
    /// `keepalive_time`.
    pub(super) age_max: Duration,
    /// Where what concerns no single request is logged.
    pub(super) log: Arc<ErrorSink>,
}

/// The windows of a connection's streams bound what may wait on it; its own need not (and is nginx's: RFC 9113 section
/// 6.9.1's largest).
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// How much of one stream's response waits for the socket.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// The largest header list that is read, as a multiple of what is accepted: up to that a client is told in words.
const REFUSED_HEADERS: usize = 2;

/// So many streams may be reset before their requests were even looked at.
const UNSEEN_RESETS_MAX: usize = 100;

/// So many streams may be reset by this side for breaking rules (MadeYouReset, CVE-2025-8671).
const OWN_RESETS_MAX: usize = 128;

/// What `h2` may charge a connection for small DATA frames that wait to be read: what they lack of 256 bytes each. Messages
/// are small, and a backend that is slow to read them on some streams must not cost the others their connection; a frame that
/// waits takes about a hundred bytes beside its payload, so this bounds memory to a few megabytes.
const SMALL_FRAMES_BUDGET: usize = 16 << 20;

impl Rules {
    /// What holds at `site` of `generation`.
    pub(super) fn of(generation: &Generation, site: usize) -> Rules {
        let server = generation.default_server(site);
        let location = &server.root;
        Rules {
            http2: server.http2,
            has_websockets: generation.sites[site].has_websockets,
            head: limits(server.header_limits),
            header_timeout: server.client_header_timeout,
            send_timeout: location.send_timeout,
            keepalive_timeout: location.keepalive_timeout,
            requests_max: location.keepalive_requests,
            age_max: location.keepalive_time,
            log: generation.error_sink(&location.error_logs),
        }
    }

    /// The settings of a connection.
    pub(super) fn builder(&self) -> h2::server::Builder {
        let mut builder = h2::server::Builder::new();
        let headers = self.head.head_bytes_max.saturating_mul(REFUSED_HEADERS);
        builder
            .initial_window_size(self.http2.body_preread_bytes)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(self.http2.streams_max)
            .max_header_list_size(u32::try_from(headers).unwrap_or(u32::MAX))
            .max_send_buffer_size(SEND_BYTES_MAX)
            .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
            .max_local_error_reset_streams(Some(OWN_RESETS_MAX))
            .data_frame_budget(SMALL_FRAMES_BUDGET);
        if self.has_websockets {
            builder.enable_connect_protocol();
        }
        builder
    }
}
