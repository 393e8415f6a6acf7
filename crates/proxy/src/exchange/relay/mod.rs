//! Bytes between client and upstream while a request is relayed: the wait for the response head, then the response body.

mod body;
mod head;

pub(super) use body::{BodyEnd, BodyRelay};
pub(super) use head::{HeadError, await_head};

use culvert_conf::config::Location;
use culvert_engine::http1::HEAD_BYTES_MAX;
use std::time::Duration;

/// The bounds on a relay: the few values of a location that the loops below ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    send_timeout: Duration,
    read_timeout: Duration,
    client_send_timeout: Duration,
    client_body_timeout: Duration,
    head_bytes_max: usize,
    /// How far to read ahead of a slow client.
    ahead_bytes_max: usize,
    ignore_client_abort: bool,
}

impl Bounds {
    pub(super) fn of(location: &Location) -> Bounds {
        let proxy = &location.proxy;
        let buffers = proxy.buffers;
        let ahead = if proxy.buffering { buffers.number.saturating_mul(buffers.size) } else { 0 };
        Bounds {
            send_timeout: proxy.send_timeout,
            read_timeout: proxy.read_timeout,
            client_send_timeout: location.send_timeout,
            client_body_timeout: location.client_body_timeout,
            head_bytes_max: buffers.head.min(HEAD_BYTES_MAX),
            ahead_bytes_max: ahead.max(buffers.head),
            ignore_client_abort: proxy.ignore_client_abort,
        }
    }
}
