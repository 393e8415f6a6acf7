//! A client whose body goes through a chain first.

use super::Chain;
use crate::exchange::client::{BodyError, BodyPart, OutHead, hand_on};
use crate::exchange::{Client, Exchange};
use crate::io::{Deadline, TcpInfo};
use culvert_conf::config::{Level, Location};
use culvert_engine::http1::Headers;
use culvert_engine::pace::Pace;
use culvert_engine::websocket::has_token;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::timeout;

/// The client of one response with a chain. What the chain has not taken yet counts as backlog, so that whoever sends waits.
pub(in crate::exchange) struct Filtered<'a, C> {
    client: &'a mut C,
    chain: &'a mut Chain,
    /// What could not go through yet, since the client has enough to take.
    waiting: Vec<u8>,
    /// The end has come; with the trailers of whoever sent the body.
    end: Option<Headers>,
    is_ended: bool,
}

/// No more goes through while the client has so much to take yet.
const AHEAD_BYTES_MAX: usize = 32 * 1024;

impl<'a, C: Client> Filtered<'a, C> {
    pub(in crate::exchange) fn new(client: &'a mut C, chain: &'a mut Chain) -> Filtered<'a, C> {
        Filtered { client, chain, waiting: Vec::new(), end: None, is_ended: false }
    }

    /// Puts through as much of `bytes` as the client has room for. Gives how much that was.
    fn put(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while taken < bytes.len() && self.client.backlog() <= AHEAD_BYTES_MAX {
            let step = &bytes[taken..bytes.len().min(taken + self.chain.step_bytes.max(1))];
            let out = self.chain.feed(step);
            self.pass(cx, out)?;
            taken += step.len();
        }
        Ok(taken)
    }

    fn pass(&mut self, cx: &mut Context<'_>, out: Result<Vec<u8>, String>) -> io::Result<()> {
        match out {
            Ok(out) if out.is_empty() => Ok(()),
            Ok(out) => self.client.send_body(cx, &out),
            Err(message) => {
                self.chain.failure = Some(message);
                Err(io::ErrorKind::InvalidData.into())
            }
        }
    }

    /// Ends the body. With trailers of the gateway's own the end itself is [`complete`]'s.
    fn finish(&mut self, cx: &mut Context<'_>, trailers: &Headers) -> io::Result<()> {
        let out = self.chain.finish();
        self.pass(cx, out)?;
        if self.chain.trailers.is_empty() {
            self.client.send_end(trailers);
        }
        self.is_ended = true;
        Ok(())
    }
}

impl<C: Client> Client for Filtered<'_, C> {
    fn send_body(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let taken = if self.waiting.is_empty() { self.put(cx, bytes)? } else { 0 };
        self.waiting.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    fn send_end(&mut self, trailers: &Headers) {
        // It goes out with the next flush, when all that waits has gone through.
        self.end = Some(trailers.clone());
    }

    fn backlog(&self) -> usize {
        self.client.backlog() + self.waiting.len()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut is_out = self.client.backlog() == 0;
        loop {
            if !self.waiting.is_empty() {
                let mut waiting = std::mem::take(&mut self.waiting);
                let taken = self.put(cx, &waiting)?;
                waiting.drain(..taken);
                self.waiting = waiting;
            }
            if self.waiting.is_empty() {
                match self.end.take() {
                    Some(trailers) => self.finish(cx, &trailers)?,
                    // Whoever sends has nothing more now: what the client could have already shall not wait inside.
                    None if !self.is_ended && is_out => {
                        let out = self.chain.flush();
                        self.pass(cx, out)?;
                    }
                    None => {}
                }
            }
            ready!(self.client.poll_flush(cx))?;
            is_out = true;
            if self.waiting.is_empty() && (self.is_ended || !self.chain.is_dirty()) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn pace(&mut self, pace: Option<Pace>) {
        self.client.pace(pace);
    }

    hand_on!();
}

/// What follows once a body went through its chain: how well it was compressed is noted, why it could not go on is logged,
/// and the trailers of the gateway's own are sent. False where the client is gone.
pub(in crate::exchange) async fn complete<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    chain: &mut Chain,
    is_whole: bool,
) -> bool {
    exchange.gzip_ratio = chain.ratio();
    if let Some(message) = chain.failure.take() {
        exchange.log(Level::Error, message);
    }
    if !is_whole || chain.trailers.is_empty() {
        return is_whole;
    }
    client.send_end(&trailers(exchange, chain));
    let wait = exchange.location.send_timeout;
    matches!(timeout(wait, poll_fn(|cx| client.poll_flush(cx))).await, Ok(Ok(())))
}

/// Those of the upstream, if the client takes them, and those of the gateway.
fn trailers(exchange: &mut Exchange, chain: &Chain) -> Headers {
    let mut trailers = Headers::default();
    let mut te = exchange.request.head.headers.all("te");
    if te.any(|list| has_token(list, "trailers")) {
        exchange.upstream_trailers.iter().for_each(|(name, value)| trailers.push(name, value));
    }
    for (name, value) in &chain.trailers {
        let value = exchange.render(value);
        if !value.is_empty() {
            trailers.push(name, &value);
        }
    }
    trailers
}
