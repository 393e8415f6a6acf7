//! A tunnel: two byte streams, a few counters and a deadline, and nothing else while it is idle.
//!
//! ```text
//!  client ──read──► scratch ──write──► server      what the server does not take waits in its backlog,
//!  client ◄─write── scratch ◄──read── server       and the client isn't read until it is gone; and vice versa
//! ```
//!
//! The end of one direction is passed on as a half-close; the other direction goes on until its own end.

use crate::io::{Backlog, Deadline, Transport, scratch};
use crate::observe::access_log::{Record, TunnelOutcome};
use crate::observe::error_log::os_error;
use crate::upstream::{Connection, Pick};
use culvert_conf::config::Level;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

/// The upstream's side of a tunnel that is about to open, and what the tunnel keeps of its handshake.
pub(crate) struct Opening {
    pub(crate) connection: Connection,
    pub(crate) pick: Pick,
    pub(crate) timeouts: Timeouts,
    pub(crate) record: Record,
}

/// How long a tunnel waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// `proxy_read_timeout`: without a byte from either side.
    pub(crate) idle: Duration,
    /// `proxy_send_timeout`: without the server taking a byte that waits for it.
    pub(crate) to_server: Duration,
    /// `send_timeout`: without the client taking a byte that waits for it.
    pub(crate) to_client: Duration,
}

/// The client's side of a tunnel that is about to open.
pub(crate) struct ClientSide {
    pub(crate) io: Transport,
    /// What the client sent behind its handshake.
    pub(crate) inbox: Vec<u8>,
    /// The 101, as far as it is not out yet.
    pub(crate) outbox: Backlog,
    /// Bytes of the exchange sent so far.
    pub(crate) sent: u64,
}

/// Two streams joined.
pub(crate) struct Tunnel {
    client: Side,
    server: Side,
    deadline: Deadline,
    timeouts: Timeouts,
    record: Record,
    pick: Pick,
}

/// One of the two streams.
struct Side {
    io: Transport,
    /// Bytes for this stream that it has not taken yet.
    backlog: Backlog,
    received: u64,
    sent: u64,
    /// The stream has ended: nothing more comes from it.
    read_ended: bool,
    /// The end of the other stream was passed on to this one.
    write_ended: bool,
}

/// Why a tunnel ended otherwise than by both its sides.
enum Broken {
    Client(io::Error),
    Server(io::Error),
}

impl Tunnel {
    /// Joins the two sides. What either has sent already is passed on first.
    pub(crate) fn join(client: ClientSide, opening: Opening) -> Tunnel {
        let Opening { connection, pick, timeouts, record } = opening;
        let mut to_client = client.outbox;
        to_client.push(&connection.inbox);
        let mut to_server = connection.outbox;
        to_server.push(&client.inbox);
        Tunnel {
            client: Side::new(client.io, to_client, 0, client.sent),
            server: Side::new(connection.io, to_server, connection.received, connection.sent),
            deadline: Deadline::default(),
            timeouts,
            record,
            pick,
        }
    }

    fn moved(&self) -> u64 {
        self.client.received + self.client.sent + self.server.received + self.server.sent
    }

    fn relay(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let up = pump(cx, &mut self.client, &mut self.server).map_err(|(from, error)| match from {
            Fault::Reading => Broken::Client(error),
            Fault::Writing => Broken::Server(error),
        })?;
        let down = pump(cx, &mut self.server, &mut self.client).map_err(|(from, error)| match from {
            Fault::Reading => Broken::Server(error),
            Fault::Writing => Broken::Client(error),
        })?;
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn wait(&self) -> Duration {
        let Timeouts { idle, to_server, to_client } = self.timeouts;
        match (self.server.backlog.is_empty(), self.client.backlog.is_empty()) {
            (true, true) => idle,
            (false, true) => idle.min(to_server),
            (true, false) => idle.min(to_client),
            (false, false) => idle.min(to_server).min(to_client),
        }
    }

    fn log(&self, level: Level, message: &str) {
        let circumstances = &self.record.circumstances;
        self.record.error_sink.write(level, self.record.connection, format_args!("{message}{circumstances}"));
    }

    fn log_broken(&self, broken: &Broken) {
        match broken {
            Broken::Client(error) => {
                self.log(
                    Level::Info,
                    &format!("client connection failed ({}) while proxying upgraded connection", os_error(error)),
                );
            }
            Broken::Server(error) => {
                self.log(
                    Level::Error,
                    &format!("recv() failed ({}) while proxying upgraded connection", os_error(error)),
                );
            }
        }
    }
}

impl Future for Tunnel {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let tunnel = self.get_mut();
        let before = tunnel.moved();
        match tunnel.relay(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(()),
            Poll::Ready(Err(broken)) => {
                tunnel.log_broken(&broken);
                return Poll::Ready(());
            }
            Poll::Pending => {}
        }
        if tunnel.moved() != before || !tunnel.deadline.is_set() {
            tunnel.deadline.set(Instant::now(), tunnel.wait());
        }
        ready!(tunnel.deadline.poll(cx));
        let culprit = if tunnel.client.backlog.is_empty() { "upstream" } else { "client" };
        tunnel.log(
            if culprit == "client" { Level::Info } else { Level::Error },
            &format!("{culprit} timed out (110: Connection timed out) while proxying upgraded connection"),
        );
        Poll::Ready(())
    }
}

impl Drop for Tunnel {
    /// Every tunnel tells its end, however it came: both sides, a timeout, or the end of the gateway.
    fn drop(&mut self) {
        self.record.tell(&TunnelOutcome {
            client_sent: self.client.sent,
            upstream_received: self.server.received,
            upstream_sent: self.server.sent,
        });
        self.pick.ends(culvert_engine::balance::Ending::Good);
    }
}

impl Side {
    fn new(io: Transport, backlog: Backlog, received: u64, sent: u64) -> Side {
        Side { io, backlog, received, sent, read_ended: false, write_ended: false }
    }
}

/// Which call of a pump failed.
enum Fault {
    Reading,
    Writing,
}

/// Moves what there is in one direction. Ready once its end was passed on.
fn pump(cx: &mut Context<'_>, from: &mut Side, to: &mut Side) -> Poll<Result<(), (Fault, io::Error)>> {
    loop {
        ready!(to.backlog.poll_write(&mut to.io, cx, &mut to.sent)).map_err(|error| (Fault::Writing, error))?;
        to.backlog.shrink();
        if to.write_ended {
            return Poll::Ready(Ok(()));
        }
        if from.read_ended {
            // A stream that is gone already needs no half-close; its own reads tell.
            let _ = ready!(Pin::new(&mut to.io).poll_shutdown(cx));
            to.write_ended = true;
            return Poll::Ready(Ok(()));
        }
        let (io, backlog, sent) = (&mut to.io, &mut to.backlog, &mut to.sent);
        let read = scratch::poll_read(&mut from.io, cx, scratch::SCRATCH_BYTES, |cx, bytes| {
            backlog.write_or_keep(io, cx, bytes, sent).map(|()| bytes.len())
        });
        match ready!(read).map_err(|error| (Fault::Reading, error))? {
            Ok(0) => from.read_ended = true,
            Ok(length) => from.received += length as u64,
            Err(error) => return Poll::Ready(Err((Fault::Writing, error))),
        }
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
