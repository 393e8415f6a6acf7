//! Passive health by how tunnels end: a server whose WebSockets die young is not well, although every handshake
//! succeeds.

use crate::websocket::{Cause, EndedBy, Summary};
use std::time::Duration;

/// What a broken connection counts as. RFC 6455 section 7.1.5.
const ABNORMAL: u16 = 1006;

/// Which ends of a young tunnel count as failures of its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyClose {
    /// How old a tunnel must be so that its end says nothing of the server any more.
    pub within: Duration,
    /// The codes that count; 1006 stands for a connection that the server dropped without a Close.
    pub codes: Box<[u16]>,
}

impl EarlyClose {
    /// The rule with its usual codes: dropped, internal error, service restart, try again later.
    pub fn within(within: Duration) -> EarlyClose {
        EarlyClose { within, codes: Box::new([ABNORMAL, 1011, 1012, 1013]) }
    }

    /// Whether the end of this WebSocket, which lived for so long, counts.
    pub fn counts(&self, lived: Duration, summary: &Summary) -> bool {
        lived < self.within && server_code(summary).is_some_and(|code| self.codes.contains(&code))
    }

    /// Whether the end of a tunnel whose frames were not read counts: all that is known is who ended it.
    pub fn counts_raw(&self, lived: Duration, ended_by_server: bool) -> bool {
        lived < self.within && ended_by_server && self.codes.contains(&ABNORMAL)
    }
}

/// How the server ended the WebSocket; `None` where it did not.
fn server_code(summary: &Summary) -> Option<u16> {
    let is_silent = summary.cause == Some(Cause::PingTimeout)
        // The side that did not answer is told 1011, the other one 1001 or 1011: only a server's own fault is a 1011 to
        // it.
        && summary.server.gateway_close.as_ref().is_some_and(|close| close.code == 1011);
    if is_silent {
        return Some(ABNORMAL);
    }
    if summary.ended_by != Some(EndedBy::Server) {
        return None;
    }
    match (&summary.server.close, summary.cause) {
        (Some(close), _) => Some(close.code),
        (None, Some(Cause::EndOfStream | Cause::Reset)) => Some(ABNORMAL),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::{Close, SideSummary};

    const RULE: Duration = Duration::from_secs(10);
    const YOUNG: Duration = Duration::from_secs(9);

    fn ended(by: EndedBy, cause: Cause, code: Option<u16>) -> Summary {
        let close = code.map(|code| Close { code, reason: Vec::new() });
        let server = SideSummary { close, ..SideSummary::default() };
        Summary { server, ended_by: Some(by), cause: Some(cause), ..Summary::default() }
    }

    #[test]
    fn a_young_tunnel_that_the_server_broke_counts() {
        let rule = EarlyClose::within(RULE);
        for code in [1011, 1012, 1013] {
            assert!(rule.counts(YOUNG, &ended(EndedBy::Server, Cause::Close, Some(code))), "{code}");
        }
        assert!(rule.counts(YOUNG, &ended(EndedBy::Server, Cause::Reset, None)));
        assert!(rule.counts(YOUNG, &ended(EndedBy::Server, Cause::EndOfStream, None)));
        assert!(rule.counts_raw(YOUNG, true));
    }

    #[test]
    fn an_old_tunnel_and_a_proper_end_do_not() {
        let rule = EarlyClose::within(RULE);
        assert!(!rule.counts(RULE, &ended(EndedBy::Server, Cause::Reset, None)));
        assert!(!rule.counts(YOUNG, &ended(EndedBy::Server, Cause::Close, Some(1000))));
        assert!(!rule.counts(YOUNG, &ended(EndedBy::Client, Cause::Reset, None)));
        assert!(!rule.counts(YOUNG, &ended(EndedBy::Gateway, Cause::Age, None)));
        assert!(!rule.counts_raw(RULE, true));
        assert!(!rule.counts_raw(YOUNG, false));
    }

    #[test]
    fn a_server_that_answers_no_ping_counts_as_broken() {
        let rule = EarlyClose::within(RULE);
        let mut summary = ended(EndedBy::Gateway, Cause::PingTimeout, None);
        assert!(!rule.counts(YOUNG, &summary));
        summary.server.gateway_close = Some(Close { code: 1001, reason: Vec::new() });
        assert!(!rule.counts(YOUNG, &summary));
        summary.server.gateway_close = Some(Close { code: 1011, reason: Vec::new() });
        assert!(rule.counts(YOUNG, &summary));
    }

    #[test]
    fn codes_are_as_they_are_given() {
        let rule = EarlyClose { within: RULE, codes: Box::new([4000]) };
        assert!(rule.counts(YOUNG, &ended(EndedBy::Server, Cause::Close, Some(4000))));
        assert!(!rule.counts(YOUNG, &ended(EndedBy::Server, Cause::Reset, None)));
        assert!(!rule.counts_raw(YOUNG, true));
    }
}
