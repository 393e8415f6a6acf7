//! Active health checks: when a peer is asked how it is, what it has to answer, and what follows from the answers.
//!
//! ```text
//!                       a probe passes                        `fails` probes in a row fail
//!   Checking ──────────────────────────────► Healthy ◄──────────────────────────────────► Unhealthy
//!   (`mandatory`: nothing before a pass)               `passes` probes in a row pass
//!      └────────── a probe fails ──────────────────────────────────────────────────────────────▲
//! ```
//!
//! A [`Checker`] per peer and check keeps the time and the state. What a probe says on the wire is a state machine of
//! its own: [`HttpProbe`], [`WebsocketProbe`]; for [`Probe::Tcp`] a connection that opens is all that is asked.

mod checker;
mod early_close;
mod failure;
mod http;
mod matching;
mod websocket;

pub use checker::{Change, Checker};
pub use early_close::EarlyClose;
pub use failure::{Context, Failure, Stage};
pub use http::{HttpProbe, Progress, http_request};
pub use matching::{BODY_BYTES_MAX, Condition, HeaderTest, Match, StatusSet};
pub use websocket::WebsocketProbe;

use crate::balance::Health;
use crate::template::Template;
use std::sync::Arc;
use std::time::Duration;

/// What several checks of one peer say together: a single one that fails is enough.
pub fn worst(of: impl IntoIterator<Item = Health>) -> Health {
    let badness = |health: &Health| match health {
        Health::Healthy => 0,
        Health::Checking => 1,
        Health::Unhealthy => 2,
    };
    of.into_iter().max_by_key(badness).unwrap_or(Health::Healthy)
}

/// A `health_check` directive.
#[derive(Debug, Clone)]
pub struct Check {
    /// The time from the start of one probe to that of the next.
    pub interval: Duration,
    /// Each probe comes up to this much later, at random.
    pub jitter: Duration,
    /// So many failures in a row make a peer unhealthy. At least 1.
    pub fails: u32,
    /// So many passes in a row make it healthy again. At least 1.
    pub passes: u32,
    /// The port that is asked, where it is not the server's own.
    pub port: Option<u16>,
    /// No requests to a peer before its first pass.
    pub mandatory: bool,
    /// A reload does not begin again with a peer that was healthy before it; with `mandatory`.
    pub persistent: bool,
    /// How long one connection may carry probes. `None`: each has its own.
    pub keepalive_time: Option<Duration>,
    /// What is asked.
    pub probe: Probe,
}

impl Default for Check {
    /// `health_check;` without parameters.
    fn default() -> Check {
        Check {
            interval: Duration::from_secs(5),
            jitter: Duration::ZERO,
            fails: 1,
            passes: 1,
            port: None,
            mandatory: false,
            persistent: false,
            keepalive_time: None,
            probe: Probe::Http(HttpCheck { uri: "/".into(), matching: None }),
        }
    }
}

impl Check {
    /// The name of the check in log lines: that of its `match` block, else empty.
    pub fn name(&self) -> &str {
        match &self.probe {
            Probe::Http(HttpCheck { matching: Some(matching), .. }) => &matching.name,
            _ => "",
        }
    }

    /// What a passing probe looks at last; it stands in the log line about a peer that is healthy again.
    pub fn last_stage(&self) -> Stage {
        match &self.probe {
            Probe::Tcp => Stage::Connecting,
            Probe::Http(HttpCheck { matching: Some(matching), .. }) => matching.last_stage(),
            Probe::Http(_) => Stage::Status,
            Probe::Websocket(_) => Stage::Closing,
        }
    }
}

/// What a probe does.
#[derive(Debug, Clone)]
pub enum Probe {
    /// Opens a connection.
    Tcp,
    /// Asks for a page.
    Http(HttpCheck),
    /// Opens a WebSocket, pings and closes it.
    Websocket(WebsocketCheck),
}

/// A probe over HTTP.
#[derive(Debug, Clone)]
pub struct HttpCheck {
    /// The target of the request.
    pub uri: Box<str>,
    /// What the response has to be like; `None`: of status 2xx or 3xx.
    pub matching: Option<Arc<Match>>,
}

/// A probe that opens a WebSocket.
#[derive(Debug, Clone)]
pub struct WebsocketCheck {
    /// The target of the handshake.
    pub uri: Box<str>,
    /// The subprotocol that is offered, and has to be chosen.
    pub protocol: Option<Box<str>>,
    /// Further headers of the handshake, such as `Origin`.
    pub headers: Vec<(Box<str>, Template)>,
    /// The longest time from the request to the end of the 101.
    pub handshake_timeout: Duration,
    /// The longest time from a ping to its pong, and from a Close to its echo.
    pub pong_timeout: Duration,
}

impl Default for WebsocketCheck {
    fn default() -> WebsocketCheck {
        WebsocketCheck {
            uri: "/".into(),
            protocol: None,
            headers: Vec::new(),
            // As long as `proxy_read_timeout` by default.
            handshake_timeout: Duration::from_secs(60),
            pong_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failing_check_of_several_is_enough() {
        assert_eq!(worst([]), Health::Healthy);
        assert_eq!(worst([Health::Healthy, Health::Checking]), Health::Checking);
        assert_eq!(worst([Health::Checking, Health::Unhealthy, Health::Healthy]), Health::Unhealthy);
    }

    #[test]
    fn the_last_stage_is_what_the_check_ends_with() {
        assert_eq!(Check::default().last_stage(), Stage::Status);
        assert_eq!(Check { probe: Probe::Tcp, ..Check::default() }.last_stage(), Stage::Connecting);
        let websocket = Probe::Websocket(WebsocketCheck::default());
        assert_eq!(Check { probe: websocket, ..Check::default() }.last_stage(), Stage::Closing);
    }
}
