//! Numbers about what happens: counted where it happens, summed when somebody asks.
//!
//! Each thread counts in [cells](cells) of its own, so that no two of them write to one cache line; what belongs to one
//! upstream server is counted beside it ([`PeerCounts`]), at moments when its upstream's lock is taken anyway. Whoever shows
//! the numbers reads all of it without stopping anybody.

mod cells;
mod shared;

pub(crate) use cells::{CAUSES, Held, InTunnel, SIDES, Tally, add, count, sum};
pub(crate) use shared::{Count, PeerCounts, ResolverCounts, UpstreamCounts, resolver_zone, resolver_zones};

use crate::observe::access_log::TunnelOutcome;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// Counts an exchange that is over.
pub(crate) fn exchange_ended(status: u16, received: u64, sent: u64) {
    count(Tally::Response(shared::class_of(status)));
    add(Tally::ClientReceived, received);
    add(Tally::ClientSent, sent);
}

/// Counts the handshake of a tunnel that opens.
pub(crate) fn tunnel_opened(received: u64) {
    count(Tally::Response(1));
    count(Tally::TunnelsOpened);
    add(Tally::ClientReceived, received);
}

/// Counts what a tunnel was. `client_received` are the bytes that came after the handshake.
pub(crate) fn tunnel_ended(outcome: &TunnelOutcome, client_received: u64) {
    add(Tally::ClientReceived, client_received);
    add(Tally::ClientSent, outcome.client_sent);
    let Some(summary) = &outcome.summary else { return count(Tally::ClosedUnread) };
    count(Tally::closed(summary));
    add(Tally::ClientMessages, summary.client.messages);
    add(Tally::ServerMessages, summary.server.messages);
    add(Tally::ClientPayload, summary.client.payload_bytes);
    add(Tally::ServerPayload, summary.server.payload_bytes);
    add(Tally::Violations, summary.violations.count.into());
}

static STARTED_AT: OnceLock<u64> = OnceLock::new();

/// Notes that the gateway starts.
pub(crate) fn start() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A second call would be a second start of the same process, which there is only in tests.
    let _ = STARTED_AT.set(now.as_secs());
}

/// When that was, in seconds since 1970.
pub(crate) fn started_at() -> u64 {
    STARTED_AT.get().copied().unwrap_or_default()
}
