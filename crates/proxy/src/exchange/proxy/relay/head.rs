//! The wait for a response head, while the request goes out.

use super::{Bounds, Ends};
use crate::exchange::Client;
use crate::exchange::client::BodyError;
use crate::exchange::proxy::answer::head;
use crate::exchange::request::body::PumpError;
use crate::io::Deadline;
use crate::io::clock::now;
use crate::observe::error_log::failure;
use culvert_conf::config::Location;
use culvert_engine::http1::{Headers, ResponseError, ResponseHead, offending_start};
use culvert_engine::retry::TryFailure;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Why there is no response head.
pub(in crate::exchange) enum HeadError {
    /// The upstream failed; the text is for the log.
    Upstream(TryFailure, String),
    /// The client went away.
    ClientGone,
    /// The client's body can't be read.
    ClientBody(BodyError),
    /// The client sent nothing more of its body for `client_body_timeout`.
    ClientStalled,
}

impl HeadError {
    fn timeout(doing: &str) -> HeadError {
        HeadError::Upstream(
            TryFailure::Timeout,
            format!("upstream timed out (110: Connection timed out) while {doing}"),
        )
    }

    fn io(call: &str, error: &io::Error, doing: &str) -> HeadError {
        HeadError::Upstream(TryFailure::Error, format!("{} while {doing}", failure(call, error)))
    }
}

const SENDING: &str = "sending request to upstream";
const READING_HEAD: &str = "reading response header from upstream";

/// The wait for a response head.
struct HeadWait<'a> {
    bounds: &'a Bounds,
    hints: Option<Arc<Location>>,
    deadline: Deadline,
    /// What the deadline is about.
    waiting_for: WaitingFor,
    send_error: Option<io::Error>,
}

/// Whom the wait for a head depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitingFor {
    /// The server, to take the request.
    Sending,
    /// The client, to send more of its body.
    Body,
    /// The server, to answer.
    Head,
}

/// Sends what is queued and waits for the response head, while a streamed body moves and the client stays.
///
/// A 103 is passed on meanwhile where `hints` is a location, as that location has it.
pub(in crate::exchange) async fn await_head<C: Client>(
    bounds: &Bounds,
    hints: Option<Arc<Location>>,
    mut ends: Ends<'_, C>,
) -> Result<ResponseHead, HeadError> {
    let deadline = ends.client.lend_deadline();
    let mut wait = HeadWait { bounds, hints, deadline, waiting_for: WaitingFor::Sending, send_error: None };
    wait.deadline.set(now(), bounds.send_timeout);
    let head = poll_fn(|cx| wait.poll(cx, &mut ends)).await;
    ends.client.return_deadline(wait.deadline);
    head
}

impl HeadWait<'_> {
    fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        ends: &mut Ends<'_, C>,
    ) -> Poll<Result<ResponseHead, HeadError>> {
        self.send(cx, ends)?;
        while let Poll::Ready(read) = ends.connection.poll_fill(cx, self.bounds.head_bytes_max.max(4096)) {
            match read {
                Ok(0) => return Poll::Ready(Err(self.closed())),
                Ok(_) => {
                    if let Some(head) = self.parse(ends)? {
                        return Poll::Ready(Ok(head));
                    }
                }
                Err(error) => return Poll::Ready(Err(HeadError::io("recv", &error, READING_HEAD))),
            }
        }
        if ends.client_is_gone(cx, self.bounds) {
            return Poll::Ready(Err(HeadError::ClientGone));
        }
        // Hints are worth something only before the answer that they announce.
        if ends.client.backlog() > 0 && matches!(ends.client.poll_flush(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(HeadError::ClientGone));
        }
        ready!(self.deadline.poll(cx));
        Poll::Ready(Err(match self.waiting_for {
            WaitingFor::Sending => HeadError::timeout(SENDING),
            WaitingFor::Body => HeadError::ClientStalled,
            WaitingFor::Head => HeadError::timeout(READING_HEAD),
        }))
    }

    fn send<C: Client>(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, C>) -> Result<(), HeadError> {
        if self.waiting_for == WaitingFor::Head || self.send_error.is_some() {
            return Ok(());
        }
        let Ends { client, connection, pump } = ends;
        let before = (connection.sent, client.received());
        match pump.poll(cx, *client, connection) {
            Poll::Ready(Err(PumpError::Client(error))) => return Err(HeadError::ClientBody(error)),
            // The server may have answered before it closed; what it said is read first.
            Poll::Ready(Err(PumpError::Upstream(error))) => self.send_error = Some(error),
            Poll::Ready(Ok(())) => self.wait_for(WaitingFor::Head),
            Poll::Pending => {
                let whom = if connection.outbox.is_empty() { WaitingFor::Body } else { WaitingFor::Sending };
                if whom != self.waiting_for || (connection.sent, client.received()) != before {
                    self.wait_for(whom);
                }
            }
        }
        Ok(())
    }

    fn wait_for(&mut self, whom: WaitingFor) {
        self.waiting_for = whom;
        let wait = match whom {
            WaitingFor::Sending => self.bounds.send_timeout,
            WaitingFor::Body => self.bounds.client_body_timeout,
            WaitingFor::Head => self.bounds.read_timeout,
        };
        self.deadline.set(now(), wait);
    }

    fn parse<C: Client>(&self, ends: &mut Ends<'_, C>) -> Result<Option<ResponseHead>, HeadError> {
        let Ends { client, connection, .. } = ends;
        loop {
            match ResponseHead::parse(&connection.inbox, self.bounds.head_bytes_max) {
                Ok(None) => return Ok(None),
                Ok(Some((head, length))) => {
                    connection.inbox.drain(..length);
                    // Interim responses are for this hop; only 101 ends the wait (RFC 9110 section 15.2).
                    if head.status >= 200 || head.status == 101 {
                        return Ok(Some(head));
                    }
                    if let Some(location) = self.hints.as_ref().filter(|_| head.status == 103) {
                        client.send_interim(head.status, &hints(location, &head.headers));
                    }
                }
                Err(error) => {
                    let message = match error {
                        ResponseError::HeaderLine => {
                            format!(
                                "{}: \"{}...\" while {READING_HEAD}",
                                error.describe(),
                                offending_start(&connection.inbox)
                            )
                        }
                        _ => format!("{} while {READING_HEAD}", error.describe()),
                    };
                    return Err(HeadError::Upstream(TryFailure::InvalidHeader, message));
                }
            }
        }
    }

    fn closed(&self) -> HeadError {
        match &self.send_error {
            Some(error) => HeadError::io("writev", error, SENDING),
            None => {
                let message = format!("upstream prematurely closed connection while {READING_HEAD}");
                HeadError::Upstream(TryFailure::Error, message)
            }
        }
    }
}

/// What of an upstream's early hints is for the client (RFC 8297): what a response's head would be.
fn hints(location: &Location, headers: &Headers) -> Headers {
    let mut hints = Headers::like(headers);
    for line in headers.lines().filter(|line| head::passes(location, headers, 103, line.name())) {
        hints.push_copy(line);
    }
    hints
}
