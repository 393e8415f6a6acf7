//! Subrequests: a location of the same server is asked on behalf of a request, and its answer goes nowhere, or into another.

pub(super) mod mirror;

use super::client::{BodyError, BodyPart, Client, OutHead};
use super::{Exchange, Next, serve};
use crate::io::Deadline;
use culvert_conf::config::Location;
use culvert_engine::http1::{BodyLength, Headers};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request for `uri` with the headers of `parent`: a GET without a body. Variables have no values yet.
pub(super) fn fork(parent: &Exchange, uri: &[u8]) -> Box<Exchange> {
    let mut request = parent.request.fork(uri);
    request.turned_to_get = true;
    request.is_head = false;
    let (generation, client) = (parent.generation.clone(), parent.client.clone());
    let mut fork = Exchange::bare(generation, client, parent.server.clone(), request);
    (fork.ledger.requests, fork.ledger.connections) = (parent.ledger.requests, parent.ledger.connections);
    fork.is_subrequest = true;
    fork
}

/// A copy of `parent` for `uri`: its method, its variables, and the body where `with_body` is set and it is in memory.
pub(super) fn copy(parent: &Exchange, uri: &[u8], with_body: bool) -> Box<Exchange> {
    let mut copy = fork(parent, uri);
    copy.request.turned_to_get = parent.request.turned_to_get;
    copy.request.is_head = parent.request.is_head;
    *copy.slots.get_mut() = parent.slots.borrow().clone();
    if let Some(bytes) = parent.request.body_bytes.clone().filter(|bytes| with_body && !bytes.is_empty()) {
        copy.request.body = BodyLength::Sized(bytes.len() as u64);
        copy.request.body_bytes = Some(bytes);
    }
    copy
}

/// Runs a subrequest to its end. The future has a name, so that a subrequest may have subrequests.
pub(super) fn run(exchange: &mut Exchange) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
    Box::pin(async move {
        serve(exchange, &mut Nobody::default(), Next::EnterServer).await;
    })
}

/// The longest answer that is taken into another.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Runs a subrequest to its end, for the body of its answer. `None` where that is too long.
pub(super) fn run_for_body(exchange: &mut Exchange) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send + '_>> {
    Box::pin(async move {
        let mut nobody = Nobody { kept: Some(Vec::new()), ..Nobody::default() };
        serve(exchange, &mut nobody, Next::EnterServer).await;
        nobody.kept
    })
}

/// The client of a subrequest: it has nothing more to send, does not leave, and lets all that it gets fall, unless the body
/// is wanted.
#[derive(Debug, Default)]
struct Nobody {
    sent: u64,
    /// The body so far, where it is wanted and not too long.
    kept: Option<Vec<u8>>,
}

impl Client for Nobody {
    fn body_is_read(&self) -> bool {
        true
    }

    fn limit_body(&mut self, _: u64) {}

    fn invite_body(&mut self) {}

    fn poll_body(&mut self, _: &mut Context<'_>, _: &mut Vec<u8>, _: usize) -> Poll<Result<BodyPart, BodyError>> {
        Poll::Ready(Ok(BodyPart::End))
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn adopt(&mut self, _: &Arc<Location>) {}

    fn close_after(&mut self) {}

    fn send_head(&mut self, _: &OutHead) -> &'static str {
        ""
    }

    fn send_body(&mut self, _: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        self.sent += bytes.len() as u64;
        if let Some(kept) = &mut self.kept {
            match kept.len() + bytes.len() > BODY_BYTES_MAX {
                true => self.kept = None,
                false => kept.extend_from_slice(bytes),
            }
        }
        Ok(())
    }

    fn send_end(&mut self, _: &Headers) {}

    fn backlog(&self) -> usize {
        0
    }

    fn lend_deadline(&mut self) -> Deadline {
        Deadline::default()
    }

    fn return_deadline(&mut self, _: Deadline) {}

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn received(&self) -> u64 {
        0
    }
}
