//! The life of a connection: frames for all its streams, a task for each request, and the ends that it may come to.

use super::client::StreamClient;
use super::request;
use super::rules::Rules;
use super::tally::Tally;
use super::wire::Wire;
use crate::exchange::{self, ClientFacts, Exchange, Next, Served};
use crate::io::address;
use crate::io::{Deadline, Transport, reactor};
use crate::lifecycle::Shared;
use crate::lifecycle::worker::{self, DrainWatch};
use crate::observe::metrics::{self, Held};
use crate::tunnel;
use bytes::Bytes;
use culvert_conf::config::Level;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::Request;
use std::fmt::Display;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Instant, timeout};

/// A client connection that speaks HTTP/2.
struct Connection {
    h2: h2::server::Connection<Wire, Bytes>,
    facts: Arc<ClientFacts>,
    /// The listening address that it came in on.
    site: usize,
    shared: Arc<Shared>,
    rules: Rules,
    tally: Arc<Tally>,
    /// How many requests have come.
    requests: u64,
    /// The client was told to make no more of them.
    is_leaving: bool,
    /// The connection was ended from this side.
    is_closing: bool,
    /// When it has been without a stream for too long.
    idle: Deadline,
    /// When the client has taken nothing for too long.
    stuck: Deadline,
    stuck_at: Option<u64>,
    /// `$connections_active` counts it, and `$connections_waiting` while it has no stream.
    _active: Held,
    waiting: Option<Held>,
}

/// How often woken tunnels and the frames that follow from them have their turn before others do.
const ROUNDS: usize = 8;

/// Serves a client connection to its end; `ahead` was read of it already. `site` is the listening address that it came in on.
pub(crate) async fn serve(
    io: Transport,
    ahead: Vec<u8>,
    facts: Arc<ClientFacts>,
    site: usize,
    shared: Arc<Shared>,
    active: Held,
) {
    let rules = {
        let generation = shared.generation.load();
        let Some(site) = generation.site_of(site) else { return };
        Rules::of(&generation, site)
    };
    let tally = Arc::new(Tally::default());
    let handshake = rules.builder().handshake(Wire::new(io, ahead, tally.clone()));
    let h2 = match timeout(rules.header_timeout, handshake).await {
        Ok(Ok(h2)) => h2,
        Ok(Err(error)) => return log(&rules, &facts, format_args!("client sent no preface of HTTP/2 ({error})")),
        Err(_) => return log(&rules, &facts, "client timed out (110: Connection timed out)"),
    };
    let mut drain = DrainWatch::default();
    let mut connection = Connection {
        h2,
        facts,
        site,
        shared,
        rules,
        tally,
        requests: 0,
        is_leaving: false,
        is_closing: false,
        idle: Deadline::default(),
        stuck: Deadline::default(),
        stuck_at: None,
        _active: active,
        waiting: None,
    };
    poll_fn(|cx| {
        if !connection.is_leaving && drain.has_started(&connection.shared.drain, cx) {
            connection.leave();
        }
        connection.poll(cx)
    })
    .await;
}

fn log(rules: &Rules, facts: &ClientFacts, message: impl Display) {
    let ends = address::ends(facts.remote, facts.local);
    rules.log.write(Level::Info, facts.serial, format_args!("{message} while processing HTTP/2 connection, {ends}"));
}

impl Connection {
    /// Does all that there is to do. Ready at the end.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(request, respond);
                    continue;
                }
                Poll::Ready(Some(Err(error))) => return self.failed(&error),
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => {}
            }
            if let Some(why) = self.why_close(cx) {
                if self.is_closing {
                    // Not even the farewell is taken.
                    return Poll::Ready(());
                }
                self.close(why);
            } else if !reactor::run_woken() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn begin(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let generation = self.shared.generation.load_full();
        let Some(site) = generation.site_of(self.site) else {
            // A reload took the address away. What is open goes on.
            respond.send_reset(Reason::REFUSED_STREAM);
            return self.leave();
        };
        self.rules = Rules::of(&generation, site);
        self.requests += 1;
        self.idle.clear();
        let began = Instant::now();
        if self.requests >= self.rules.requests_max || began - self.facts.opened >= self.rules.age_max {
            self.leave();
        }
        let (parts, body) = request.into_parts();
        let arrived = request::read(&parts, !body.is_end_stream(), self.rules.head);
        self.tally.payload(arrived.bytes);
        let client = StreamClient::new(&arrived, body, respond, self.tally.clone());
        let (mut exchange, first) =
            Exchange::new(generation, self.facts.clone(), site, arrived.head, began, self.requests);
        exchange.request.by_connect = arrived.by_connect;
        exchange.request.received = arrived.bytes;
        if let Some(complaint) = arrived.complaint {
            exchange.log(Level::Info, complaint);
        }
        worker::spawn_stream(answer(client, exchange, first));
    }

    /// Asks the client to make no more requests here. Streams that are open come to their ends.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.is_leaving, true) {
            self.h2.graceful_shutdown();
            // What is idle by now has waited for long enough.
            self.idle.clear();
        }
    }

    /// Says why, and ends the connection with all its streams.
    fn close(&mut self, why: Why) {
        if !why.message.is_empty() {
            log(&self.rules, &self.facts, why.message);
        }
        self.is_closing = true;
        self.idle.set(Instant::now(), LEAVING);
        self.h2.abrupt_shutdown(why.reason);
    }

    /// What ends the connection now, if anything does.
    fn why_close(&mut self, cx: &mut Context<'_>) -> Option<Why> {
        if self.is_closing {
            ready_or_none(self.idle.poll(cx))?;
            return Some(Why { reason: Reason::NO_ERROR, message: "" });
        }
        let calm = |message| Some(Why { reason: Reason::ENHANCE_YOUR_CALM, message });
        if self.tally.is_flooded() {
            return calm("http2 flood detected");
        }
        if self.tally.is_reset_too_often(self.rules.http2.streams_max) {
            return calm("client cancelled too many streams");
        }
        self.watch_idle(cx).or_else(|| self.watch_stuck(cx))
    }

    /// `keepalive_timeout`: for so long a connection without streams stays open.
    fn watch_idle(&mut self, cx: &mut Context<'_>) -> Option<Why> {
        if self.h2.has_streams() {
            self.idle.clear();
            self.waiting = None;
        } else if !self.idle.is_set() {
            let wait = match (self.is_leaving, self.requests) {
                (true, _) => LEAVING,
                (false, 0) => self.rules.header_timeout,
                (false, _) => self.rules.keepalive_timeout,
            };
            self.idle.set(Instant::now(), wait);
            self.waiting = (self.requests > 0).then(|| Held::new(metrics::Tally::Waiting));
        }
        ready_or_none(self.idle.poll(cx))?;
        Some(Why { reason: Reason::NO_ERROR, message: "" })
    }

    /// `send_timeout`: for so long a client may take nothing of what is written.
    fn watch_stuck(&mut self, cx: &mut Context<'_>) -> Option<Why> {
        let stuck_at = self.tally.stuck_at();
        if stuck_at != self.stuck_at {
            self.stuck_at = stuck_at;
            match stuck_at {
                Some(_) => self.stuck.set(Instant::now(), self.rules.send_timeout),
                None => self.stuck.clear(),
            }
        }
        ready_or_none(self.stuck.poll(cx))?;
        Some(Why { reason: Reason::NO_ERROR, message: "client timed out (110: Connection timed out)" })
    }

    fn failed(&self, error: &h2::Error) -> Poll<()> {
        log(&self.rules, &self.facts, format_args!("client connection failed ({error})"));
        Poll::Ready(())
    }
}

/// Why a connection is ended.
struct Why {
    /// What the client is told.
    reason: Reason,
    /// What the log says; empty where that is nothing special.
    message: &'static str,
}

fn ready_or_none(poll: Poll<()>) -> Option<()> {
    match poll {
        Poll::Ready(()) => Some(()),
        Poll::Pending => None,
    }
}

/// How long a client that was told to leave may take to say that it heard it.
const LEAVING: std::time::Duration = std::time::Duration::from_secs(1);

/// Serves one request to its end.
async fn answer(mut client: StreamClient, mut exchange: Box<Exchange>, first: Next) {
    match exchange::serve(&mut exchange, &mut client, first).await {
        Served::Answered => client.note_end(),
        Served::Broken => {
            // What is queued has its chance to go out before the reset takes it back.
            tokio::task::yield_now().await;
            client.note_end();
            client.abort(Reason::INTERNAL_ERROR);
        }
        Served::Tunnel(opening) => {
            drop(exchange);
            client.note_end();
            if let Some(side) = client.into_side() {
                tunnel::open(side, *opening);
            }
        }
    }
}
