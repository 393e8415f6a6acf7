//! `mirror`: copies of a request go to other locations, and nobody waits for their answers.

use crate::exchange::client::BodyPart;
use crate::exchange::request::body;
use crate::exchange::{Client, Exchange, Next, subrequest};
use crate::lifecycle::worker;
use culvert_conf::config::Level;
use culvert_engine::http1::BodyLength;
use std::future::poll_fn;
use tokio::time::timeout;

/// How much of a body without a length is read to be copied.
const CHUNKED_BYTES_MAX: usize = 1024 * 1024;

/// Sends the copies on their way. They need the body in memory, so a request waits for it here.
pub(in crate::exchange) async fn send<C: Client>(exchange: &mut Exchange, client: &mut C) -> Option<Next> {
    let mirror = exchange.location.mirror.clone();
    if mirror.body && !is_whole(exchange) {
        match read_body(exchange, client).await {
            Ok(true) => {}
            Ok(false) => {
                exchange.log(Level::Warn, "a request is not mirrored: its body does not fit into memory");
                return None;
            }
            Err(next) => return Some(next),
        }
    }
    for uri in mirror.uris.iter() {
        let mut copy = subrequest::copy(exchange, uri, mirror.body);
        worker::spawn_counted(async move { subrequest::run(&mut copy).await });
    }
    None
}

fn is_whole(exchange: &Exchange) -> bool {
    let request = &exchange.request;
    request.body_bytes.is_some() || matches!(request.body, BodyLength::None | BodyLength::Sized(0))
}

/// Reads the body into memory. `false`: it is too long for that, and what was read waits for whoever comes next.
async fn read_body<C: Client>(exchange: &mut Exchange, client: &mut C) -> Result<bool, Next> {
    let location = exchange.location.clone();
    let room = match exchange.request.body {
        BodyLength::Sized(length) if length > location.client_body_buffer_size as u64 => return Ok(false),
        BodyLength::Sized(_) => location.client_body_buffer_size,
        _ => location.client_body_buffer_size.max(CHUNKED_BYTES_MAX),
    };
    if exchange.request.body_is_spent {
        return Ok(false);
    }
    client.limit_body(location.client_max_body_size);
    client.invite_body();
    let mut body = std::mem::take(&mut exchange.request.body_ahead);
    while body.len() < room && !client.body_is_read() {
        let left = room - body.len();
        match timeout(location.client_body_timeout, poll_fn(|cx| client.poll_body(cx, &mut body, left))).await {
            Ok(Ok(BodyPart::Data)) => {}
            Ok(Ok(BodyPart::End)) => break,
            Ok(Err(error)) => return Err(body::refuse(exchange, client, &error)),
            Err(_) => return Err(body::time_out(exchange, client)),
        }
    }
    if client.body_is_read() {
        exchange.request.body_bytes = Some(body.into());
        return Ok(true);
    }
    exchange.request.body_ahead = body;
    Ok(false)
}
