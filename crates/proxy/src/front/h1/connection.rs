//! The life of a client connection: request after request, until it closes or becomes a tunnel.

use super::linger;
use super::read_head::{self, Arrival};
use crate::exchange::{self, ClientFacts, Exchange, Served};
use crate::front::h2;
use crate::io::clock::now;
use crate::io::{Backlog, Deadline, Transport, scratch, spare};
use crate::lifecycle::Shared;
use crate::lifecycle::worker::{self, DrainWatch};
use crate::observe::metrics::{Held, Tally};
use crate::tunnel::{self, ClientSide};
use culvert_conf::config::Location;
use culvert_engine::http1::{BodyDecoder, BodyLength};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A client connection that speaks HTTP/1.
pub(crate) struct Front {
    pub(super) io: Transport,
    /// Bytes received and not used yet.
    pub(super) inbox: Vec<u8>,
    /// Bytes to be sent.
    pub(super) outbox: Backlog,
    pub(super) deadline: Deadline,
    /// Ends the wait for another request.
    pub(super) drain: DrainWatch,
    pub(super) facts: Arc<ClientFacts>,
    /// How many requests have come.
    pub(super) requests: u64,
    /// The location of the last response: how long to keep the connection, how to close it.
    pub(super) location: Option<Arc<Location>>,
    /// Bytes sent for the current exchange.
    pub(super) sent: u64,
    /// Bytes received for the current exchange.
    pub(super) received: u64,
    /// The client has closed its side.
    pub(super) ended: bool,
    pub(super) message: Message,
    /// `$connections_active` counts it.
    pub(super) active: Held,
}

/// What holds for the current request and its response.
pub(super) struct Message {
    pub(super) body: BodyDecoder,
    pub(super) body_bytes: u64,
    pub(super) body_bytes_max: u64,
    /// The client waits for `100 Continue`, or for a final answer.
    pub(super) expects_continue: bool,
    /// HTTP/1.1 or later.
    pub(super) http_1_1: bool,
    /// The head could not be read, so that what follows it means nothing.
    pub(super) unreadable: bool,
    /// Whether the connection is used again after the response.
    pub(super) keep: bool,
    /// Whether trailers are welcome (`TE: trailers`, RFC 9110 section 6.5.1).
    pub(super) takes_trailers: bool,
    /// Whether the response is framed in chunks.
    pub(super) chunked: bool,
}

impl Message {
    pub(super) fn new(length: BodyLength) -> Message {
        Message {
            body: BodyDecoder::new(length),
            body_bytes: 0,
            body_bytes_max: 0,
            expects_continue: false,
            http_1_1: false,
            unreadable: false,
            keep: false,
            takes_trailers: false,
            chunked: false,
        }
    }

    /// Begins another message, with a body of this length.
    pub(super) fn restart(&mut self, length: BodyLength) {
        let Message {
            body,
            body_bytes,
            body_bytes_max,
            expects_continue,
            http_1_1,
            unreadable,
            keep,
            takes_trailers,
            chunked,
        } = self;
        *body = BodyDecoder::new(length);
        (*body_bytes, *body_bytes_max) = (0, 0);
        for fact in [expects_continue, http_1_1, unreadable, keep, takes_trailers, chunked] {
            *fact = false;
        }
    }
}

/// Serves a client connection to its end. `site` is the listening address that it came in on.
pub(crate) async fn serve(io: Transport, facts: ClientFacts, site: usize, shared: Arc<Shared>) {
    let mut front = Front {
        io,
        inbox: Vec::new(),
        outbox: Backlog::default(),
        deadline: Deadline::default(),
        drain: DrainWatch::default(),
        facts: Arc::new(facts),
        requests: 0,
        location: None,
        sent: 0,
        received: 0,
        ended: false,
        message: Message::new(BodyLength::None),
        active: Held::new(Tally::Active),
    };
    loop {
        let request = match read_head::next(&mut front, site, &shared).await {
            Arrival::Request(request) => request,
            Arrival::Nothing => return front.io.farewell(),
            Arrival::Http2 => {
                let Front { io, inbox, facts, active, .. } = front;
                // A task of its own: this one's room is of no use to it.
                return worker::spawn_counted(h2::serve(io, inbox, facts, site, shared, active));
            }
        };
        // Boxed, so that a connection between two requests does not keep the room that an exchange needs.
        match Box::pin(answer(&mut front, request)).await {
            Served::Answered if front.message.keep && linger::discard_body(&mut front).await => {}
            Served::Answered => return linger::close(front).await,
            Served::Broken => return,
            Served::Tunnel(opening) => {
                let Front { io, inbox, outbox, sent, active, .. } = front;
                let client = ClientSide { io, inbox, outbox, sent, active: Some(active) };
                // A machine of its own: nothing of this task stays allocated for the hours that a tunnel may live.
                return tunnel::open(client, *opening);
            }
        }
    }
}

async fn answer(front: &mut Front, request: (Box<Exchange>, exchange::Next)) -> Served {
    let (mut exchange, first) = request;
    exchange::serve(&mut exchange, front, first).await
}

impl Front {
    /// Begins another exchange.
    pub(super) fn begin(&mut self) {
        if let Some(tls) = &self.facts.tls
            && !self.io.is_handshaking()
        {
            tls.complete();
        }
        self.requests += 1;
        self.sent = 0;
        self.received = 0;
    }

    /// Reads once into the inbox. No bytes are the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        let inbox = &mut self.inbox;
        let read = ready!(scratch::poll_read(&mut self.io, cx, limit, |_, bytes| {
            spare::append(inbox, bytes);
            bytes.len()
        }))?;
        self.ended |= read == 0;
        Poll::Ready(Ok(read))
    }

    /// How long the connection is kept open between requests.
    pub(super) fn idle_since_now(&mut self, wait: std::time::Duration) {
        self.deadline.set(now(), wait);
    }
}
