//! One try on one server: connect or reuse, send, wait for the response head.

use super::relay::{self, HeadError};
use super::{Job, request_out};
use crate::exchange::request::body::{self, Pump};
use crate::exchange::{Client, Exchange, Next};
use crate::io::Unbound;
use crate::observe::error_log::{failure, os_error};
use crate::upstream::{ConnectError, Connected, Connection, Pick, Scarce, Unconnected, connect, reuse, tls};
use culvert_conf::config::Level;
use culvert_engine::balance::{Ending, PeerId};
use culvert_engine::http1::ResponseHead;
use culvert_engine::retry::TryFailure;
use std::future::poll_fn;

/// A server's answer.
pub(super) struct Answer {
    pub(super) pick: Pick,
    pub(super) connection: Box<Connection>,
    pub(super) pump: Pump,
    pub(super) head: ResponseHead,
}

/// How a try ended without an answer to pass on.
pub(super) enum TryError {
    /// The server failed; another one may be tried.
    Failed(Box<FailedTry>),
    /// No other server would help.
    Final(Next),
}

/// A server's failure.
pub(super) struct FailedTry {
    pub(super) pick: Pick,
    /// The other address of the same server that was tried too.
    pub(super) rival: Option<PeerId>,
    pub(super) failure: TryFailure,
    /// For the error log; empty where there is nothing to say.
    pub(super) message: String,
    /// Whether anything of the request is spent.
    pub(super) request_sent: bool,
    /// The connection was a kept one that its server had closed meanwhile: that says nothing about the server.
    pub(super) was_stale: bool,
}

/// Makes one try.
pub(super) async fn attempt<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    pick: Pick,
) -> Result<Box<Answer>, TryError> {
    let (mut pick, mut connection, reused) = match reuse(&job.upstream, &pick, &job.way) {
        Some(connection) => (pick, connection, true),
        None => open(exchange, client, job, pick).await?,
    };
    exchange.note_connected(&pick, reused);
    connection.begin();
    exchange.body_out = job.length;
    request_out::compose(exchange, &job.method, job.wish, job.length, connection.outbox.tail());
    let mut pump = Pump::start(&job.body, &mut connection);
    let received_before = client.received();
    let ends = relay::Ends { client, connection: &mut connection, pump: &mut pump };
    let awaited = relay::await_head(&job.bounds, job.hints.clone(), ends).await;
    exchange.note_bytes(&connection);
    match awaited {
        Ok(head) => {
            exchange.note_head(&head);
            pick.said(head.status);
            Ok(Box::new(Answer { pick, connection, pump, head }))
        }
        Err(HeadError::Upstream(failure, message)) => {
            let was_stale = reused && connection.received == 0 && failure == TryFailure::Error;
            if failure == TryFailure::Timeout {
                connection.distrust();
            }
            // What was read of a streamed body for this server is gone with it.
            let request_sent =
                (connection.sent > 0 && !connection.is_unprocessed()) || client.received() > received_before;
            pick.ends(if was_stale { Ending::Abandoned } else { Ending::Failed });
            Err(TryError::Failed(Box::new(FailedTry { pick, rival: None, failure, message, request_sent, was_stale })))
        }
        Err(HeadError::ClientGone) => Err(TryError::Final(client_gone(exchange))),
        Err(HeadError::ClientStalled) => Err(TryError::Final(body::time_out(exchange, client))),
        Err(HeadError::ClientBody(error)) => Err(TryError::Final(body::refuse(exchange, client, &error))),
    }
}

async fn open<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    job: &Job<'_>,
    mut pick: Pick,
) -> Result<(Pick, Box<Connection>, bool), TryError> {
    let proxy = &exchange.location.proxy;
    // A client that still uploads is read when its server is there; until then it may not have left, only not been heard.
    let watches = !proxy.ignore_client_abort && job.body.is_here();
    let connected = tokio::select! {
        biased;
        connected = connect(&mut pick, &job.tried, &job.way) => connected,
        _ = poll_fn(|cx| client.poll_gone(cx)), if watches => return Err(TryError::Final(client_gone(exchange))),
    };
    match connected {
        Ok(Connected { connection, scarce, reused }) => {
            if let Some(scarce) = scarce {
                warn_of_ports(exchange, &pick, scarce);
            }
            Ok((pick, connection, reused))
        }
        Err(Unconnected { error, rival }) => {
            if let ConnectError::Failed(error) = &error
                && let Some(unbound) = error.get_ref().and_then(|error| error.downcast_ref::<Unbound>())
            {
                let reason = os_error(&unbound.error);
                exchange.log(Level::Crit, format_args!("{unbound} ({reason}) while connecting to upstream"));
                exchange.close_try(0);
                return Err(TryError::Final(Next::Status(500)));
            }
            pick.ends(Ending::Failed);
            let (failure, message) = describe(&error);
            let (request_sent, was_stale) = (false, false);
            Err(TryError::Failed(Box::new(FailedTry { pick, rival, failure, message, request_sent, was_stale })))
        }
    }
}

fn describe(error: &ConnectError) -> (TryFailure, String) {
    match error {
        ConnectError::Timeout(doing) => {
            (TryFailure::Timeout, format!("upstream timed out (110: Connection timed out) while {doing}"))
        }
        ConnectError::Tls(error) => {
            (TryFailure::Error, format!("{} while SSL handshaking to upstream", tls::describe(error)))
        }
        ConnectError::Failed(error) => {
            let reason = os_error(error);
            (TryFailure::Connect, format!("connect() failed ({reason}) while connecting to upstream"))
        }
        ConnectError::Http2(error) => {
            let reason = failure("recv", error);
            (TryFailure::Error, format!("HTTP/2 could not begin: {reason} while connecting to upstream"))
        }
    }
}

fn warn_of_ports(exchange: &Exchange, pick: &Pick, Scarce { used, all }: Scarce) {
    let endpoint = pick.endpoint();
    exchange.log(
        Level::Warn,
        format_args!("{used} of {all} source ports towards {endpoint} are in use while connecting to upstream"),
    );
}

fn client_gone(exchange: &mut Exchange) -> Next {
    exchange.log(
        Level::Info,
        "client prematurely closed connection, so upstream connection is closed too while reading response header from upstream",
    );
    exchange.close_try(499);
    Next::Status(499)
}
