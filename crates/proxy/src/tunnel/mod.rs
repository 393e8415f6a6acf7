//! A tunnel: two byte streams, a few counters and a deadline, and nothing else while it is idle.
//!
//! ```text
//!  client ──read──► scratch ──write──► server      what the server does not take waits in its backlog,
//!  client ◄─write── scratch ◄──read── server       and the client isn't read until it is gone; and vice versa
//! ```
//!
//! Frame headers are read as they pass ([`culvert_engine::websocket::Session`]); payloads are not touched.
//!
//! The end of one direction is passed on as a half-close; the other direction goes on until its own end.

mod large;
mod roll;
mod side;

#[cfg(test)]
mod frames;
#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod task;
#[cfg(test)]
mod tests;

pub(crate) use roll::{send_away, survey};

use crate::io::clock::{self, Stamp};
use crate::io::reactor::{self, Machine, Next, Registration};
use crate::io::{Backlog, Transport, spare};
use crate::lifecycle::worker::Live;
use crate::observe::access_log::{Record, TunnelOutcome};
use crate::observe::error_log::os_error;
use crate::observe::metrics::{self, Held, InTunnel};
use crate::upstream::{Connection, Pick};
use culvert_conf::config::Level;
use culvert_engine::websocket::{self, Action, Cause, EndedBy, Session, Violation};
use side::{Fault, Side, pump};
use std::io;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// The upstream's side of a tunnel that is about to open, and what the tunnel keeps of its handshake.
pub(crate) struct Opening {
    pub(crate) connection: Box<Connection>,
    pub(crate) pick: Pick,
    pub(crate) timeouts: Timeouts,
    pub(crate) record: Record,
    /// Looks at the frames; `None` for what is no WebSocket, and for `websocket_frames off`.
    pub(crate) session: Option<Session>,
}

/// How long a tunnel waits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// `proxy_read_timeout`: without a byte from either side.
    pub(crate) idle: Patience,
    /// `proxy_send_timeout`: without the server taking a byte that waits for it.
    pub(crate) to_server: Patience,
    /// `send_timeout`: without the client taking a byte that waits for it.
    pub(crate) to_client: Patience,
    /// `websocket_close_timeout`: for the echo of a Close.
    pub(crate) close: Patience,
}

/// A timeout in milliseconds; 49 days and more are for ever. Every tunnel has four of them, so it is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Patience(u32);

impl From<Duration> for Patience {
    fn from(timeout: Duration) -> Patience {
        Patience(u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX))
    }
}

impl Patience {
    fn ends(self, now: Stamp) -> Option<Stamp> {
        if self.0 == u32::MAX { None } else { Some(now.after(self.duration())) }
    }

    fn duration(self) -> Duration {
        Duration::from_millis(self.0.into())
    }
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
    /// Counts the client connection; `None` where it carries other streams beside this one.
    pub(crate) active: Option<Held>,
}

/// Two streams joined.
pub(crate) struct Tunnel {
    client: Side,
    server: Side,
    session: Option<Session>,
    /// When it has been silent for too long.
    idle_until: Option<Stamp>,
    timeouts: Timeouts,
    /// The session is over: what waits is still written, and nothing is read any more.
    ending: bool,
    /// The server was the first to end its stream, or to break it.
    server_left: bool,
    record: Record,
    pick: Pick,
    _counted: InTunnel,
    _live: Live,
}

/// With 448 bytes a tunnel takes what the allocator has for it; one byte more would take 512 (jemalloc's size classes).
#[cfg(not(test))]
const _: () = assert!(size_of::<Tunnel>() <= 448, "an idle tunnel is to stay small");

/// Joins the two sides of a tunnel, which lives on by itself from here.
pub(crate) fn open(client: ClientSide, opening: Opening) {
    let tunnel = Tunnel::join(client, opening);
    #[cfg(test)]
    if [&tunnel.client, &tunnel.server].iter().any(|side| matches!(side.io, Transport::Memory(_))) {
        tokio::spawn(task::Task::new(tunnel));
        return;
    }
    reactor::run_to_end(Box::new(tunnel));
}

/// Why a tunnel ended otherwise than by both its sides.
enum Broken {
    Client(io::Error),
    Server(io::Error),
}

impl Tunnel {
    /// Joins the two sides. What either has sent already is passed on first.
    pub(crate) fn join(client: ClientSide, opening: Opening) -> Tunnel {
        let Opening { connection, pick, timeouts, record, mut session } = opening;
        let (mut to_client, mut to_server) = (client.outbox, connection.outbox);
        // A stream's connection is counted already.
        let live = if matches!(client.io, Transport::Stream(_)) { Live::without_seat() } else { Live::begin() };
        let now = clock::now().into_std();
        pass_early(session.as_mut(), websocket::Side::Server, &connection.inbox, now, &mut to_client);
        pass_early(session.as_mut(), websocket::Side::Client, &client.inbox, now, &mut to_server);
        [connection.inbox, client.inbox].into_iter().for_each(spare::give);
        Tunnel {
            client: Side::new(client.io, to_client, 0, client.sent),
            server: Side::new(connection.io.into_transport(), to_server, connection.received, connection.sent),
            session,
            idle_until: None,
            timeouts,
            ending: false,
            server_left: false,
            record,
            pick,
            _counted: InTunnel::new(client.active),
            _live: live,
        }
    }

    /// Does all that there is to do, and says what it waits for. `closing`: the gateway says goodbye.
    fn advance(&mut self, cx: &mut Context<'_>, mut now: Instant, closing: bool) -> Next {
        let before = self.moved();
        if closing && !self.begin_closing(now) {
            return Next::End;
        }
        loop {
            self.excuse_unread(now);
            match self.work(cx, now) {
                Poll::Ready(Ok(())) => {
                    self.client.io.farewell();
                    self.server.io.farewell();
                    return Next::End;
                }
                Poll::Ready(Err(broken)) => {
                    self.note_broken(&broken);
                    return Next::End;
                }
                Poll::Pending => {}
            }
            let at = Stamp::from(now);
            let due = self.due(at, self.moved() != before);
            if !self.ending && (self.client.is_unfinished || self.server.is_unfinished) {
                return Next::Again;
            }
            if due.is_none_or(|due| at < due) {
                return Next::Wait(due);
            }
            if self.is_out_of_time(at) {
                return Next::End;
            }
            // The session's clock has come: it has something to do, or a later time to name.
            now = Instant::now();
        }
    }

    fn moved(&self) -> u64 {
        self.client.received + self.client.sent + self.server.received + self.server.sent
    }

    /// Moves bytes and does what the session wants, until neither has anything to do. Ready at the end.
    fn work(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Broken>> {
        while !self.ending {
            if self.relay(cx, now)?.is_ready() {
                return Poll::Ready(Ok(()));
            }
            let Some(action) = self.session.as_mut().and_then(|session| session.poll_action(now.into_std())) else {
                return Poll::Pending;
            };
            match action {
                Action::Send { to: websocket::Side::Client, frame } => {
                    self.client.send(cx, frame.bytes()).map_err(Broken::Client)?;
                }
                Action::Send { to: websocket::Side::Server, frame } => {
                    self.server.send(cx, frame.bytes()).map_err(Broken::Server)?;
                }
                Action::Report(violation) => self.report(violation),
                Action::End => self.ending = true,
            }
        }
        self.flush(cx)
    }

    /// Writes what waits. Ready once both sides have taken all of it.
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        let to_client = self.client.flush(cx).map_err(Broken::Client)?;
        let to_server = self.server.flush(cx).map_err(Broken::Server)?;
        if to_client.is_pending() || to_server.is_pending() {
            return Poll::Pending;
        }
        // Dropped as it is, a stream would be reset: the end of its session is not.
        self.client.end_stream(cx);
        self.server.end_stream(cx);
        Poll::Ready(Ok(()))
    }

    fn relay(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Result<(), Broken>> {
        let Tunnel { client, server, session, .. } = self;
        let now = now.into_std();
        let watch = session.as_mut().map(|session| (session, websocket::Side::Client, now));
        let up = pump(cx, client, server, watch).map_err(|(fault, error)| match fault {
            Fault::Reading => Broken::Client(error),
            Fault::Writing => Broken::Server(error),
        })?;
        let watch = session.as_mut().map(|session| (session, websocket::Side::Server, now));
        let down = pump(cx, server, client, watch).map_err(|(fault, error)| match fault {
            Fault::Reading => Broken::Server(error),
            Fault::Writing => Broken::Client(error),
        })?;
        self.server_left |= server.has_ended() && !client.has_ended();
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// When to look again if nothing happens until then.
    fn due(&mut self, now: Stamp, moved: bool) -> Option<Stamp> {
        if moved || self.idle_until.is_none() {
            self.idle_until = self.wait().ends(now);
        }
        let Some(session) = &self.session else { return self.idle_until };
        let idle = self.idle_until.filter(|_| !session.tracks_idle() || self.is_stalled());
        match session.next_deadline() {
            None => idle,
            Some(deadline) => {
                let deadline = Stamp::from(Instant::from_std(deadline));
                Some(idle.map_or(deadline, |idle| idle.min(deadline)))
            }
        }
    }

    /// Whether a side does not take what waits for it.
    fn is_stalled(&self) -> bool {
        self.server.is_stalled() || self.client.is_stalled()
    }

    fn wait(&self) -> Patience {
        let Timeouts { idle, to_server, to_client, .. } = self.timeouts;
        match (self.server.is_stalled(), self.client.is_stalled()) {
            (false, false) => idle,
            (true, false) => idle.min(to_server),
            (false, true) => idle.min(to_client),
            (true, true) => idle.min(to_server).min(to_client),
        }
    }

    /// What a deadline that has come means. True where it ends the tunnel.
    fn is_out_of_time(&mut self, now: Stamp) -> bool {
        let watched = self.session.as_ref().is_some_and(Session::tracks_idle) && !self.is_stalled();
        if watched || self.idle_until.is_none_or(|until| now < until) {
            return false;
        }
        let by_client = self.client.is_stalled();
        let (level, culprit, side) = match by_client {
            true => (Level::Info, "client", EndedBy::Client),
            false => (Level::Error, "upstream", EndedBy::Server),
        };
        if let Some(session) = &mut self.session {
            session.note_end(side, Cause::Timeout);
        }
        self.log(level, &format!("{culprit} timed out (110: Connection timed out) while proxying upgraded connection"));
        true
    }

    /// A side that was not read, because the other one takes nothing, has an excuse for its silence.
    fn excuse_unread(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        if self.server.is_stalled() {
            session.excuse(websocket::Side::Client, now.into_std());
        }
        if self.client.is_stalled() {
            session.excuse(websocket::Side::Server, now.into_std());
        }
    }

    /// Says goodbye to both sides, when the gateway ends: a Close between two frames, where the frames are known.
    fn begin_closing(&mut self, now: Instant) -> bool {
        match &mut self.session {
            Some(session) => {
                session.close(
                    GOING_AWAY,
                    "the gateway stops",
                    Cause::Drain,
                    now.into_std(),
                    self.timeouts.close.duration(),
                );
                true
            }
            None => false,
        }
    }

    /// Sends both sides away, to come back by way of another server: a Close with this code and reason.
    fn send_away(&mut self, code: u16, reason: String, now: Instant) {
        match &mut self.session {
            Some(session) => {
                session.close(code, reason, Cause::Drain, now.into_std(), self.timeouts.close.duration());
            }
            // Nobody knows where a frame ends, so nothing can be said.
            None => self.ending = true,
        }
    }

    /// When something last moved.
    fn active_at(&self) -> Instant {
        let since = self.idle_until.and_then(|until| Instant::from(until).checked_sub(self.wait().duration()));
        since.unwrap_or(self.record.began.into())
    }

    fn report(&self, violation: Violation) {
        self.log(Level::Info, &format!("{} while proxying upgraded connection", violation.reason()));
    }

    fn log(&self, level: Level, message: &str) {
        let circumstances = &self.record.circumstances;
        self.record.error_sink.write(level, self.record.connection, format_args!("{message}{circumstances}"));
    }

    fn note_broken(&mut self, broken: &Broken) {
        self.server_left |= matches!(broken, Broken::Server(_)) && !self.client.has_ended();
        let (level, side, message) = match broken {
            Broken::Client(error) => {
                (Level::Info, EndedBy::Client, format!("client connection failed ({})", os_error(error)))
            }
            Broken::Server(error) => (Level::Error, EndedBy::Server, format!("recv() failed ({})", os_error(error))),
        };
        if let Some(session) = &mut self.session {
            session.note_end(side, Cause::Reset);
        }
        self.log(level, &format!("{message} while proxying upgraded connection"));
    }
}

/// The code of a Close by a gateway that stops (RFC 6455 section 7.4.1).
const GOING_AWAY: u16 = 1001;

impl Machine for Tunnel {
    fn run(&mut self, now: Instant, closing: bool) -> Next {
        // A stream can't wake the reactor by itself.
        let streams = [&mut self.client, &mut self.server].into_iter();
        let waker = streams.filter_map(|side| side.io.stream()?.waker()).next();
        match waker {
            None => self.advance(&mut Context::from_waker(Waker::noop()), now, closing),
            Some(waker) => self.advance(&mut Context::from_waker(&waker), now, closing),
        }
    }

    fn wake_by(&mut self, waker: &dyn Fn() -> Waker) {
        for side in [&mut self.client, &mut self.server] {
            if let Some(stream) = side.io.stream() {
                stream.wake_by(waker());
            }
        }
    }

    fn sources(&self) -> [Option<&Registration>; 2] {
        [&self.client, &self.server].map(|side| side.io.registration())
    }
}

impl Drop for Tunnel {
    /// Every tunnel tells its end, however it came: both sides, a timeout, or the end of the gateway.
    fn drop(&mut self) {
        if let Some(session) = &mut self.session {
            session.note_end(EndedBy::Gateway, Cause::Drain);
        }
        let outcome = TunnelOutcome {
            client_sent: self.client.sent,
            upstream_received: self.server.received,
            upstream_sent: self.server.sent,
            summary: self.session.as_ref().map(Session::summary),
        };
        self.record.tell(&outcome);
        metrics::tunnel_ended(&outcome, self.client.received);
        if self.pick.tunnel_ended(outcome.summary.as_ref(), self.server_left) {
            self.log(Level::Warn, "upstream server temporarily disabled while proxying upgraded connection");
        }
    }
}

/// What a side has sent before the tunnel opened, looked at as all that follows will be.
fn pass_early(
    session: Option<&mut Session>,
    from: websocket::Side,
    bytes: &[u8],
    now: std::time::Instant,
    to: &mut Backlog,
) {
    match session {
        Some(session) => session.bytes(from, bytes, now, |bytes| to.push(bytes)),
        None => to.push(bytes),
    }
}
