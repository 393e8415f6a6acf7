//! What a client still sends after it was answered: thrown away, so that the answer is not lost to a reset.

use super::connection::Front;
use crate::exchange::client::{BodyPart, Client};
use crate::io::scratch;
use culvert_conf::config::LingeringClose;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, timeout, timeout_at};

/// Reads and forgets the rest of a request's body. False where the connection is of no more use.
pub(super) async fn discard_body(front: &mut Front) -> bool {
    if front.body_is_read() {
        return true;
    }
    let (between, until) = bounds(front);
    front.limit_body(0);
    let mut sink = Vec::new();
    loop {
        let part = timeout(between, poll_fn(|cx| front.poll_body(cx, &mut sink, 64 * 1024))).await;
        sink.clear();
        match part {
            Ok(Ok(BodyPart::End)) => return true,
            Ok(Ok(BodyPart::Data)) if Instant::now() < until => {}
            _ => return false,
        }
    }
}

/// Closes the connection. Where the client may still be sending, its bytes are taken and forgotten for a while, since closing
/// on unread bytes resets the connection and with it the answer (RFC 9112 section 9.6).
pub(super) async fn close(mut front: Front) {
    let lingering = front.location.as_ref().map_or(LingeringClose::On, |location| location.client.lingering_close);
    let more_is_known = !front.body_is_read() || !front.inbox.is_empty() || front.message.unreadable;
    let lingers = match lingering {
        LingeringClose::Off => false,
        LingeringClose::On => more_is_known,
        LingeringClose::Always => true,
    };
    if front.ended || !lingers {
        return front.io.farewell();
    }
    let (between, until) = bounds(&front);
    if poll_fn(|cx| Pin::new(&mut front.io).poll_shutdown(cx)).await.is_err() {
        return;
    }
    front.inbox = Vec::new();
    loop {
        let read = poll_fn(|cx| {
            let read = ready!(scratch::poll_read(&mut front.io, cx, scratch::SCRATCH_BYTES, |_, bytes| bytes.len()));
            Poll::Ready(matches!(read, Ok(1..)))
        });
        match timeout_at(until.min(Instant::now() + between), read).await {
            Ok(true) if Instant::now() < until => {}
            _ => return,
        }
    }
}

/// `lingering_timeout`, and the end of `lingering_time`.
fn bounds(front: &Front) -> (Duration, Instant) {
    let (between, all) = match &front.location {
        Some(location) => (location.lingering_timeout, location.lingering_time),
        None => (Duration::from_secs(5), Duration::from_secs(30)),
    };
    (between, Instant::now() + all)
}
