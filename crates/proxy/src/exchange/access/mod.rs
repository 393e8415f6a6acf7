//! Whether a request may go on: how often and how many (nginx's preaccess phase), then who (its access phase).

mod auth_request;
mod connections;
mod links;
mod password;
mod real_ip;
mod requests;
mod rules;
mod zones;

pub(crate) use connections::Seats;
pub(super) use real_ip::apply as find_real_ip;
pub(crate) use zones::Zones;

use super::{Client, Exchange, Next};
use culvert_conf::config::{AccessSettings, Level};
use std::future::poll_fn;
use std::time::Duration;
use tokio::time::sleep;

/// What was decided about one request so far.
#[derive(Default)]
pub(crate) struct Ledger {
    /// `$limit_req_status`: a request is counted once, whatever redirects it takes.
    pub(super) requests: Option<&'static str>,
    /// `$limit_conn_status`.
    pub(super) connections: Option<&'static str>,
    /// Where it is counted by `limit_conn`, until it is over.
    pub(super) seats: Seats,
    /// `WWW-Authenticate` of the answer.
    pub(super) challenge: Option<Vec<u8>>,
}

/// What one of the ways to say who may pass has to say.
enum Opinion {
    /// Nothing: it is not asked here.
    None,
    /// The request may pass.
    Pass,
    /// It may not; this is the status.
    Refuse(u16),
    /// Something else follows.
    Leave(Next),
}

/// Other rules hold for methods that a `limit_except` does not name.
pub(super) fn limit_methods(exchange: &mut Exchange) {
    let Some(limit) = &exchange.location.limit_except else { return };
    let method = exchange.request.method();
    if !limit.methods.iter().any(|allowed| allowed.as_bytes() == method) {
        exchange.location = exchange.server.locations[limit.location].clone();
    }
}

/// Checks limits and rules of the current location. `None`: the request goes on.
pub(super) async fn check<C: Client>(exchange: &mut Exchange, client: &mut C) -> Option<Next> {
    real_ip::apply(exchange);
    if !exchange.location.limits.requests.is_empty()
        && let Some(next) = requests::check(exchange, client).await
    {
        return Some(next);
    }
    if !exchange.location.limits.connections.is_empty()
        && let Some(next) = connections::check(exchange)
    {
        return Some(next);
    }
    let access = &exchange.location.access;
    let asks = !access.rules.is_empty() || access.realm.is_some() || access.auth_request.is_some();
    // A subrequest is the gateway's own.
    if !asks || exchange.is_subrequest {
        return None;
    }
    Box::pin(permit(exchange, client)).await
}

/// The ways to say who may pass, in nginx's order.
enum Way {
    Rules,
    Password,
    Subrequest,
}

async fn permit<C: Client>(exchange: &mut Exchange, client: &mut C) -> Option<Next> {
    let access = exchange.location.access.clone();
    let mut refused = None;
    for way in [Way::Rules, Way::Password, Way::Subrequest] {
        let opinion = match way {
            Way::Rules => rules::ask(exchange, &access),
            Way::Password => password::ask(exchange, &access).await,
            Way::Subrequest => auth_request::ask(exchange, client, &access).await,
        };
        match opinion {
            Opinion::Pass if access.satisfy_any => {
                exchange.ledger.challenge = None;
                return None;
            }
            Opinion::None | Opinion::Pass => {}
            // Another way may still let it pass. A missing password is the more useful answer.
            Opinion::Refuse(status @ (401 | 403)) if access.satisfy_any => {
                refused = refused.filter(|&before| before == 401).or(Some(status));
            }
            Opinion::Refuse(status) => return refuse(exchange, client, &access, status).await,
            Opinion::Leave(next) => return Some(next),
        }
    }
    let status = refused?;
    if status == 403 {
        exchange.log(Level::Error, "access forbidden by rule");
    }
    refuse(exchange, client, &access, status).await
}

/// Answers with `status`; a missing or wrong password after `auth_delay`.
async fn refuse<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    access: &AccessSettings,
    status: u16,
) -> Option<Next> {
    if status == 401 && !access.auth_delay.is_zero() {
        exchange.log(Level::Info, "delaying unauthorized request");
        if !stays(client, access.auth_delay).await {
            return Some(leave(exchange));
        }
    }
    Some(Next::Status(status))
}

/// Waits, as long as the client stays. False where it leaves.
async fn stays<C: Client>(client: &mut C, wait: Duration) -> bool {
    tokio::select! {
        biased;
        _ = poll_fn(|cx| client.poll_gone(cx)) => false,
        () = sleep(wait) => true,
    }
}

/// The client left while something was decided about its request.
fn leave(exchange: &Exchange) -> Next {
    exchange.log(Level::Info, "client prematurely closed connection");
    Next::Status(499)
}
