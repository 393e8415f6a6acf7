//! Bytes between client and upstream while a request is relayed: the wait for the response head, then the response body.

mod body;
mod head;

pub(super) use body::{BodyEnd, BodyRelay};
pub(super) use head::{HeadError, await_head};

use crate::exchange::Client;
use crate::exchange::request::body::Pump;
use crate::upstream::Connection;
use culvert_conf::config::{BufferSizes, Location};
use culvert_engine::http1::HEAD_BYTES_MAX;
use std::task::Context;
use std::time::Duration;

/// Between whom a request is relayed.
pub(super) struct Ends<'a, C> {
    pub(super) client: &'a mut C,
    pub(super) connection: &'a mut Connection,
    /// What moves a streamed request body.
    pub(super) pump: &'a mut Pump,
}

impl<C: Client> Ends<'_, C> {
    /// Whether the client has left, and it matters. One that still uploads may only not have been heard.
    fn client_is_gone(&mut self, cx: &mut Context<'_>, bounds: &Bounds) -> bool {
        !self.pump.is_active() && !bounds.ignore_client_abort && self.client.poll_gone(cx).is_ready()
    }
}

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
    pass_trailers: bool,
    buffers: BufferSizes,
}

impl Bounds {
    pub(super) fn of(location: &Location) -> Bounds {
        let proxy = &location.proxy;
        let buffers = proxy.buffers;
        Bounds {
            send_timeout: proxy.send_timeout,
            read_timeout: proxy.read_timeout,
            client_send_timeout: location.send_timeout,
            client_body_timeout: location.client_body_timeout,
            head_bytes_max: buffers.head.min(HEAD_BYTES_MAX),
            ahead_bytes_max: buffers.head,
            ignore_client_abort: proxy.ignore_client_abort,
            pass_trailers: proxy.response.pass_trailers,
            buffers,
        }
    }

    /// The same for a response that is, or is not, read ahead of a slow client.
    pub(super) fn buffering(self, buffering: bool) -> Bounds {
        let buffers = self.buffers;
        let ahead = if buffering { buffers.number.saturating_mul(buffers.size) } else { 0 };
        Bounds { ahead_bytes_max: ahead.max(buffers.head), ..self }
    }
}
