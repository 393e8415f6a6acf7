//! Variables with a value for each server that was tried (`$upstream_…`).

use super::write::put_some;
use crate::exchange::{Exchange, Try, Whom};

impl Exchange {
    /// One value per try: `, ` between servers, ` : ` where an internal redirect stands between them.
    pub(super) fn put_tries(&self, out: &mut Vec<u8>, put: impl Fn(&Try, &mut Vec<u8>) -> bool) -> bool {
        for (nth, attempt) in self.tries.iter().enumerate() {
            match (nth, attempt.after_redirect) {
                (0, _) => {}
                (_, true) => out.extend_from_slice(b" : "),
                (_, false) => out.extend_from_slice(b", "),
            }
            put(attempt, out);
        }
        !self.tries.is_empty()
    }

    /// `$upstream_last_server_name`.
    pub(super) fn last_server_name(&self) -> Option<&str> {
        let last = self.tries.iter().rev().find_map(Try::peer);
        last.map(|peer| without_port(&peer.name))
    }
}

/// The address of a try's server, or the name of an upstream that had none left.
pub(super) fn put_addr(attempt: &Try, out: &mut Vec<u8>) -> bool {
    match &attempt.whom {
        Whom::Peer(peer) => put_some(out, peer.endpoint.to_string().as_bytes()),
        Whom::Nobody(upstream) => put_some(out, upstream.name.as_bytes()),
    }
}

/// The name of a `server` line without its port.
fn without_port(server: &str) -> &str {
    match server.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => server,
    }
}
