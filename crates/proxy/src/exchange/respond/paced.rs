//! A client that is sent so many bytes per second and no more (`limit_rate`). What it may not have yet is held here, and
//! counts as bytes that it has not taken, so that whoever sends stops reading ahead.

use crate::exchange::Client;
use crate::exchange::client::{BodyError, BodyPart, OutHead, hand_on};
use crate::io::{Deadline, TcpInfo};
use bytes::{Buf, BytesMut};
use culvert_conf::config::Location;
use culvert_engine::http1::Headers;
use culvert_engine::pace::{Pace, Turn};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

/// A client whose responses may have a pace. Without one it is the client itself.
pub(in crate::exchange) struct Paced<'c, C> {
    client: &'c mut C,
    held: Option<Box<Held>>,
}

struct Held {
    pace: Pace,
    /// What the client had been sent when the pace began.
    before: u64,
    bytes: BytesMut,
    /// The end of the body, once it was said and while bytes wait.
    end: Option<Headers>,
    deadline: Deadline,
}

impl<'c, C: Client> Paced<'c, C> {
    pub(in crate::exchange) fn new(client: &'c mut C) -> Paced<'c, C> {
        Paced { client, held: None }
    }
}

impl Held {
    /// Hands over what may pass. Pending with the time noted where nothing may.
    fn release<C: Client>(&mut self, cx: &mut Context<'_>, client: &mut C) -> Poll<io::Result<()>> {
        while !self.bytes.is_empty() {
            let now = Instant::now();
            let passed = (client.sent() + client.backlog() as u64).saturating_sub(self.before);
            match self.pace.turn(now.into_std(), passed) {
                Turn::Bytes(most) => {
                    let length = most.min(self.bytes.len());
                    client.send_body(cx, &self.bytes[..length])?;
                    self.bytes.advance(length);
                }
                Turn::Wait(due) => {
                    self.deadline.set(now, Instant::from_std(due).saturating_duration_since(now));
                    ready!(self.deadline.poll(cx));
                }
            }
        }
        if let Some(trailers) = self.end.take() {
            client.send_end(&trailers);
        }
        Poll::Ready(Ok(()))
    }
}

impl<C: Client> Client for Paced<'_, C> {
    fn pace(&mut self, pace: Option<Pace>) {
        let before = self.client.sent() + self.client.backlog() as u64;
        let (bytes, end, deadline) = (BytesMut::new(), None, Deadline::default());
        self.held = pace.map(|pace| Box::new(Held { pace, before, bytes, end, deadline }));
    }

    fn send_body(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        let Some(held) = &mut self.held else { return self.client.send_body(cx, bytes) };
        held.bytes.extend_from_slice(bytes);
        match held.release(cx, self.client) {
            Poll::Ready(Err(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn send_end(&mut self, trailers: &Headers) {
        match &mut self.held {
            Some(held) if !held.bytes.is_empty() => held.end = Some(trailers.clone()),
            _ => self.client.send_end(trailers),
        }
    }

    fn backlog(&self) -> usize {
        self.client.backlog() + self.held.as_ref().map_or(0, |held| held.bytes.len())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(held) = &mut self.held {
            let released = held.release(cx, self.client)?;
            let flushed = self.client.poll_flush(cx)?;
            ready!(released);
            return flushed.map(Ok);
        }
        self.client.poll_flush(cx)
    }

    hand_on!();
}
