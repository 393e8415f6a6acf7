//! A 101 that was asked for: the exchange ends, and what the tunnel needs of it goes along.

use super::head;
use crate::exchange::proxy::attempt::Answer;
use crate::exchange::proxy::{Job, handshake};
use crate::exchange::{Client, Exchange, Next, respond};
use crate::tunnel::{Opening, Timeouts};
use culvert_conf::config::Level;
use culvert_engine::http1::BodyLength;

/// Passes the 101 on. The streams go on as a tunnel.
pub(super) fn open<C: Client>(exchange: &mut Exchange, client: &mut C, job: &Job<'_>, answer: Answer) -> Next {
    let Answer { mut pick, mut connection, head, .. } = answer;
    pick.opens_tunnel(connection.port.take());
    exchange.upstream_headers = head.headers;
    let mut out = head::translate(exchange, job.pass, (head.status, head.reason), BodyLength::None);
    job.binding.at_head(exchange, &job.upstream, &mut pick, &mut out);
    if let Err(status) = respond::send_head(exchange, client, out) {
        return Next::Status(status);
    }
    let proxy = &exchange.location.proxy;
    let timeouts = Timeouts {
        idle: proxy.read_timeout.into(),
        to_server: proxy.send_timeout.into(),
        to_client: exchange.location.send_timeout.into(),
        close: exchange.location.websocket.close_timeout.into(),
    };
    let session = handshake::session(exchange, job.way.is_websocket);
    if exchange.location.websocket.log_open {
        exchange.log(Level::Info, "a WebSocket opened");
    }
    let record = exchange.hand_over();
    Next::Tunnel(Box::new(Opening { connection, pick, timeouts, record, session }))
}
