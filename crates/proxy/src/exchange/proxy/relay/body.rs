//! The relay of a response body, no further ahead of the client than the configuration allows.

use super::{Bounds, Ends};
use crate::exchange::Client;
use crate::io::clock::now;
use crate::io::{Deadline, spare};
use crate::observe::error_log::failure;
use culvert_engine::http1::{BodyDecoder, Headers};
use culvert_engine::pace::{Pace, Turn};
use std::future::poll_fn;
use std::ops::Range;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// How the relay of a response body ended.
pub(in crate::exchange) enum BodyEnd {
    /// Whole, with these trailers.
    Complete(Headers),
    /// The upstream broke off; the text is for the log.
    Upstream(String),
    /// The client went away.
    ClientGone,
    /// The client took nothing for `send_timeout`.
    ClientStalled,
}

/// The relay of a response body.
pub(in crate::exchange) struct BodyRelay {
    bounds: Bounds,
    decoder: BodyDecoder,
    deadline: Deadline,
    trailers: Option<Headers>,
    /// How fast to read, where that is bounded, and when to go on.
    pace: Option<(Pace, Deadline)>,
    /// The only part of the body that the client is sent.
    part: Option<Range<u64>>,
    /// Body bytes that came from the upstream.
    pub(in crate::exchange) length: u64,
    /// Whether the client's own body was cut short, so that the upstream connection can't be used again.
    pub(in crate::exchange) request_cut: bool,
    /// The same of the upstream's body: the client needed no more of it.
    pub(in crate::exchange) response_cut: bool,
}

impl BodyRelay {
    pub(in crate::exchange) fn new(
        bounds: Bounds,
        decoder: BodyDecoder,
        pace: Option<Pace>,
        part: Option<Range<u64>>,
    ) -> BodyRelay {
        let deadline = Deadline::default();
        let pace = pace.map(|pace| (pace, Deadline::default()));
        let (request_cut, response_cut) = (false, false);
        BodyRelay { bounds, decoder, deadline, trailers: None, pace, part, length: 0, request_cut, response_cut }
    }

    /// Relays the body to its end.
    pub(in crate::exchange) async fn run<C: Client>(&mut self, mut ends: Ends<'_, C>) -> BodyEnd {
        self.deadline = ends.client.lend_deadline();
        // Set at the first wait: most bodies are here already.
        self.deadline.clear();
        let end = poll_fn(|cx| self.poll(cx, &mut ends)).await;
        ends.client.return_deadline(std::mem::take(&mut self.deadline));
        end
    }

    fn poll<C: Client>(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, C>) -> Poll<BodyEnd> {
        self.pump_request(cx, ends);
        let before = (self.length, ends.client.sent());
        while self.trailers.is_none() {
            if ends.client.backlog() >= self.bounds.ahead_bytes_max {
                match ends.client.poll_flush(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(BodyEnd::ClientGone),
                    Poll::Pending => break,
                }
            }
            match self.step(cx, ends) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => break,
            }
        }
        let flushed = ends.client.poll_flush(cx);
        if let Poll::Ready(Err(_)) = flushed {
            return Poll::Ready(BodyEnd::ClientGone);
        }
        if flushed.is_ready()
            && let Some(trailers) = self.trailers.take()
        {
            return Poll::Ready(BodyEnd::Complete(trailers));
        }
        if ends.client_is_gone(cx, &self.bounds) {
            return Poll::Ready(BodyEnd::ClientGone);
        }
        self.check_time(cx, flushed.is_pending(), before != (self.length, ends.client.sent()))
    }

    fn pump_request<C: Client>(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, C>) {
        let Ends { client, connection, pump } = ends;
        if self.request_cut || (!pump.is_active() && connection.outbox.is_empty()) {
            return;
        }
        // A server may answer before it has read the whole body, and may close on what follows: the answer counts.
        self.request_cut = matches!(pump.poll(cx, *client, connection), Poll::Ready(Err(_)));
    }

    /// Takes what is in the inbox, or reads once.
    fn step<C: Client>(&mut self, cx: &mut Context<'_>, ends: &mut Ends<'_, C>) -> Poll<Result<(), BodyEnd>> {
        let Ends { client, connection, .. } = ends;
        // What lies behind the only part that is wanted is not worth the reading.
        self.response_cut = !self.decoder.is_done() && self.part.as_ref().is_some_and(|part| part.end <= self.length);
        if self.decoder.is_done() || self.response_cut {
            self.finish(*client);
            return Poll::Ready(Ok(()));
        }
        if !connection.inbox.is_empty() {
            let inbox = std::mem::take(&mut connection.inbox);
            let used = self.take(cx, *client, &inbox);
            let rest = used.map(|used| connection.inbox.extend_from_slice(&inbox[used..]));
            spare::give(inbox);
            return Poll::Ready(rest);
        }
        let limit = self.bounds.ahead_bytes_max.min(ready!(self.poll_pace(cx)));
        let inbox = &mut connection.inbox;
        let read = connection.io.poll_read(cx, limit, |cx, bytes| {
            let used = self.take(cx, *client, bytes)?;
            inbox.extend_from_slice(&bytes[used..]);
            Ok(bytes.len())
        });
        match ready!(read) {
            Ok(Ok(0)) if self.decoder.ends_with_connection() => {
                self.finish(*client);
                Poll::Ready(Ok(()))
            }
            Ok(Ok(0)) => {
                let message = "upstream prematurely closed connection while reading upstream".to_owned();
                Poll::Ready(Err(BodyEnd::Upstream(message)))
            }
            Ok(Ok(read)) => {
                connection.received += read as u64;
                Poll::Ready(Ok(()))
            }
            Ok(Err(end)) => Poll::Ready(Err(end)),
            Err(error) => {
                let message = format!("{} while reading upstream", failure("recv", &error));
                Poll::Ready(Err(BodyEnd::Upstream(message)))
            }
        }
    }

    /// How much may be read now. Pending where the pace allows nothing yet.
    fn poll_pace(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let Some((pace, resume)) = &mut self.pace else { return Poll::Ready(usize::MAX) };
        loop {
            let now = now();
            match pace.turn(now.into_std(), self.length) {
                Turn::Bytes(bytes) => return Poll::Ready(bytes),
                Turn::Wait(due) => {
                    resume.set(now, Instant::from_std(due).saturating_duration_since(now));
                    // It is not the upstream that makes itself awaited.
                    self.deadline.clear();
                    ready!(resume.poll(cx));
                }
            }
        }
    }

    fn take<C: Client>(&mut self, cx: &mut Context<'_>, client: &mut C, bytes: &[u8]) -> Result<usize, BodyEnd> {
        let mut gone = false;
        let (length, room, part) = (&mut self.length, self.bounds.ahead_bytes_max, &self.part);
        let used = self.decoder.decode(bytes, room, |data| {
            let wanted = part.as_ref().map_or(data, |part| within(data, *length, part));
            *length += data.len() as u64;
            gone = gone || client.send_body(cx, wanted).is_err();
        });
        match (used, gone) {
            (_, true) => Err(BodyEnd::ClientGone),
            (Ok(used), false) => Ok(used),
            (Err(_), false) => {
                Err(BodyEnd::Upstream("upstream sent invalid chunked response while reading upstream".into()))
            }
        }
    }

    fn finish<C: Client>(&mut self, client: &mut C) {
        let trailers = self.decoder.take_trailers();
        match self.bounds.pass_trailers {
            true => client.send_end(&trailers),
            false => client.send_end(&Headers::default()),
        }
        self.trailers = Some(trailers);
    }

    fn check_time(&mut self, cx: &mut Context<'_>, client_is_slow: bool, moved: bool) -> Poll<BodyEnd> {
        let wait = if client_is_slow { self.bounds.client_send_timeout } else { self.bounds.read_timeout };
        if moved || !self.deadline.is_set() {
            self.deadline.set(now(), wait);
        }
        ready!(self.deadline.poll(cx));
        Poll::Ready(match client_is_slow {
            true => BodyEnd::ClientStalled,
            false => BodyEnd::Upstream("upstream timed out (110: Connection timed out) while reading upstream".into()),
        })
    }
}

/// The bytes of `data`, the first of which is at `start` of its body, that belong to `part`.
fn within<'d>(data: &'d [u8], start: u64, part: &Range<u64>) -> &'d [u8] {
    let place = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(data.len());
    &data[place(part.start)..place(part.end)]
}
