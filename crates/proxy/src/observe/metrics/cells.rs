//! The cells of each thread: numbers that only their thread writes, and anybody reads.

use culvert_engine::websocket::{Cause, EndedBy, Summary};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is counted per thread. Gauges go down as well: one thread's sum never does, since a connection stays on its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tally {
    /// Client connections accepted.
    Accepted,
    /// Client connections that somebody serves or served.
    Handled,
    /// Client connections that are open.
    Active,
    /// Those among them on which a request's head is read.
    Reading,
    /// Requests that are answered, tunnels included.
    Writing,
    /// Client connections that wait for a request.
    Waiting,
    /// Connections of either side that are open.
    Seats,
    /// Requests that began.
    Requests,
    /// Bytes from clients.
    ClientReceived,
    /// Bytes to clients.
    ClientSent,
    /// Live tunnels.
    Tunnels,
    /// Tunnels that were opened.
    TunnelsOpened,
    /// Messages of clients.
    ClientMessages,
    /// Messages of servers.
    ServerMessages,
    /// Their bytes.
    ClientPayload,
    /// Their bytes.
    ServerPayload,
    /// Violations in frames.
    Violations,
    /// TLS handshakes with all that belongs to them.
    TlsFull,
    /// TLS handshakes that took up a session.
    TlsResumed,
    /// TLS handshakes that came to nothing.
    TlsFailed,
    /// Writes to logs that failed.
    LogLinesLost,
    /// Tunnels that ended without anybody knowing about their frames.
    ClosedUnread,
    /// Reloads that were taken.
    ReloadsTaken,
    /// Reloads whose configuration was bad.
    ReloadsRefused,
    /// Responses of a class: 1 to 5.
    Response(u8),
    /// Tunnels that ended, by side and cause.
    Closed(EndedBy, Cause),
}

/// Who may end a tunnel.
pub(crate) const SIDES: [EndedBy; 3] = [EndedBy::Client, EndedBy::Server, EndedBy::Gateway];

/// And why.
pub(crate) const CAUSES: [Cause; 11] = [
    Cause::Close,
    Cause::EndOfStream,
    Cause::Reset,
    Cause::Timeout,
    Cause::PingTimeout,
    Cause::Idle,
    Cause::Age,
    Cause::Limit,
    Cause::Rate,
    Cause::Protocol,
    Cause::Drain,
];

const PLAIN: usize = 24;
const CLASSES: usize = 5;
const ALL: usize = PLAIN + CLASSES + SIDES.len() * CAUSES.len();

impl Tally {
    /// The end of a WebSocket. One that says nothing was ended by the gateway's own end.
    pub(super) fn closed(summary: &Summary) -> Tally {
        Tally::Closed(summary.ended_by.unwrap_or(EndedBy::Gateway), summary.cause.unwrap_or(Cause::Drain))
    }

    fn index(self) -> usize {
        match self {
            Tally::Accepted => 0,
            Tally::Handled => 1,
            Tally::Active => 2,
            Tally::Reading => 3,
            Tally::Writing => 4,
            Tally::Waiting => 5,
            Tally::Seats => 6,
            Tally::Requests => 7,
            Tally::ClientReceived => 8,
            Tally::ClientSent => 9,
            Tally::Tunnels => 10,
            Tally::TunnelsOpened => 11,
            Tally::ClientMessages => 12,
            Tally::ServerMessages => 13,
            Tally::ClientPayload => 14,
            Tally::ServerPayload => 15,
            Tally::Violations => 16,
            Tally::TlsFull => 17,
            Tally::TlsResumed => 18,
            Tally::TlsFailed => 19,
            Tally::LogLinesLost => 20,
            Tally::ClosedUnread => 21,
            Tally::ReloadsTaken => 22,
            Tally::ReloadsRefused => 23,
            Tally::Response(class) => PLAIN + usize::from(class.clamp(1, 5)) - 1,
            Tally::Closed(side, cause) => PLAIN + CLASSES + side as usize * CAUSES.len() + cause as usize,
        }
    }
}

type Cells = [AtomicU64; ALL];

/// This thread's cells; they outlive it as a sum.
struct Mine(Arc<Cells>);

/// The cells of all threads, and the sums of those that are gone.
struct Everybodys {
    present: Vec<Arc<Cells>>,
    gone: [u64; ALL],
}

static ALL_CELLS: Mutex<Everybodys> = Mutex::new(Everybodys { present: Vec::new(), gone: [0; ALL] });

thread_local! {
    static MINE: Mine = {
        let cells = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
        ALL_CELLS.lock().unwrap_or_else(PoisonError::into_inner).present.push(cells.clone());
        Mine(cells)
    };
}

impl Drop for Mine {
    fn drop(&mut self) {
        let mut all = ALL_CELLS.lock().unwrap_or_else(PoisonError::into_inner);
        for (sum, cell) in all.gone.iter_mut().zip(self.0.iter()) {
            *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
        }
        all.present.retain(|cells| !Arc::ptr_eq(cells, &self.0));
    }
}

/// Counts one.
pub(crate) fn count(cell: Tally) {
    add(cell, 1);
}

/// Adds to a number.
pub(crate) fn add(cell: Tally, more: u64) {
    // What happens while a thread ends is counted no more.
    let _ = MINE.try_with(|mine| {
        let cell = &mine.0[cell.index()];
        // No other thread writes here, so this needs no locked instruction.
        cell.store(cell.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    });
}

/// The number over all threads.
pub(crate) fn sum(cell: Tally) -> u64 {
    let all = ALL_CELLS.lock().unwrap_or_else(PoisonError::into_inner);
    let index = cell.index();
    let sum =
        all.present.iter().fold(all.gone[index], |sum, cells| sum.wrapping_add(cells[index].load(Ordering::Relaxed)));
    // A gauge that is read while it moves may be seen a moment too low.
    if (sum as i64) < 0 { 0 } else { sum }
}

/// Counts one for as long as it lives, on the thread that it stays on.
#[derive(Debug)]
pub(crate) struct Held(Tally);

impl Held {
    /// Counts from here on.
    pub(crate) fn new(cell: Tally) -> Held {
        count(cell);
        Held(cell)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        add(self.0, u64::MAX);
    }
}

/// A live tunnel: a request that is being answered, and the client connection that it has taken over.
#[derive(Debug)]
pub(crate) struct InTunnel {
    /// `None` where its connection carries other streams beside it, and is counted by itself.
    _connection: Option<Held>,
}

impl InTunnel {
    /// Counts from here on.
    pub(crate) fn new(connection: Option<Held>) -> InTunnel {
        count(Tally::Tunnels);
        count(Tally::Writing);
        InTunnel { _connection: connection }
    }
}

impl Drop for InTunnel {
    fn drop(&mut self) {
        add(Tally::Tunnels, u64::MAX);
        add(Tally::Writing, u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mine(cell: Tally) -> u64 {
        MINE.with(|mine| mine.0[cell.index()].load(Ordering::Relaxed))
    }

    #[test]
    fn no_two_things_are_counted_in_one_cell() {
        let plain = [
            Tally::Accepted,
            Tally::Handled,
            Tally::Active,
            Tally::Reading,
            Tally::Writing,
            Tally::Waiting,
            Tally::Seats,
            Tally::Requests,
            Tally::ClientReceived,
            Tally::ClientSent,
            Tally::Tunnels,
            Tally::TunnelsOpened,
            Tally::ClientMessages,
            Tally::ServerMessages,
            Tally::ClientPayload,
            Tally::ServerPayload,
            Tally::Violations,
            Tally::TlsFull,
            Tally::TlsResumed,
            Tally::TlsFailed,
            Tally::LogLinesLost,
            Tally::ClosedUnread,
            Tally::ReloadsTaken,
            Tally::ReloadsRefused,
        ];
        let classes = (1..=5).map(Tally::Response);
        let ends = SIDES.into_iter().flat_map(|side| CAUSES.map(|cause| Tally::Closed(side, cause)));
        let indices: Vec<usize> = plain.into_iter().chain(classes).chain(ends).map(Tally::index).collect();
        assert_eq!(indices, (0..ALL).collect::<Vec<_>>());
    }

    #[test]
    fn a_gauge_falls_when_what_it_counts_is_over() {
        let tunnel = InTunnel::new(Some(Held::new(Tally::Active)));
        assert_eq!([Tally::Active, Tally::Writing, Tally::Tunnels].map(mine), [1, 1, 1]);
        drop(tunnel);
        assert_eq!([Tally::Active, Tally::Writing, Tally::Tunnels].map(mine), [0, 0, 0]);
    }

    #[test]
    fn what_a_thread_counted_outlives_it() {
        let before = sum(Tally::TlsResumed);
        std::thread::spawn(|| add(Tally::TlsResumed, 1_000_000)).join().expect("it does not panic");
        assert!(sum(Tally::TlsResumed) >= before + 1_000_000);
    }
}
