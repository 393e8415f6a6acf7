//! `add_before_body` and `add_after_body`: what other locations of the server answer, in front of a page and behind it.

use super::chain::{Chain, Link};
use super::conditions_hold;
use crate::exchange::client::OutHead;
use crate::exchange::{Client, Exchange, subrequest};
use culvert_conf::config::Level;
use std::future::poll_fn;
use std::sync::Arc;

/// What was asked for before the head goes out, and waits for its body.
#[derive(Default)]
pub(in crate::exchange) struct Parts {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// Asks for what is added to the response `head`. What does not come, or is longer than a subrequest may be, is left out.
pub(in crate::exchange) async fn fetch<C: Client>(exchange: &mut Exchange, client: &mut C, head: &OutHead) {
    let status = exchange.forced_status.unwrap_or(head.status);
    if exchange.is_head() || !applies(exchange, head, status) || !conditions_hold(exchange, head) {
        return;
    }
    let addition = exchange.location.filters.addition.clone();
    let before = ask(exchange, client, &addition.before).await;
    let after = ask(exchange, client, &addition.after).await;
    exchange.additions = Some(Box::new(Parts { before, after }));
}

fn applies(exchange: &Exchange, head: &OutHead, status: u16) -> bool {
    let addition = &exchange.location.filters.addition;
    let is_wanted = !addition.before.is_empty() || !addition.after.is_empty();
    is_wanted && status == 200 && !exchange.is_subrequest && addition.types.contain(head.headers.first("content-type"))
}

async fn ask<C: Client>(exchange: &mut Exchange, client: &mut C, uri: &Arc<[u8]>) -> Vec<u8> {
    if uri.is_empty() {
        return Vec::new();
    }
    let mut asked = subrequest::fork(exchange, uri);
    // Variables are common property: what one of the two sets, the other sees.
    std::mem::swap(asked.slots.get_mut(), exchange.slots.get_mut());
    let body = tokio::select! {
        biased;
        body = subrequest::run_for_body(&mut asked) => body,
        _ = poll_fn(|cx| client.poll_gone(cx)) => Some(Vec::new()),
    };
    std::mem::swap(asked.slots.get_mut(), exchange.slots.get_mut());
    body.unwrap_or_else(|| {
        let shown = String::from_utf8_lossy(uri);
        exchange.log(Level::Error, format_args!("the response of \"{shown}\" is too long to be added to another"));
        Vec::new()
    })
}

/// Puts what was asked for around the body.
pub(super) fn apply(exchange: &mut Exchange, head: &mut OutHead, chain: &mut Chain) {
    let parts = exchange.additions.take();
    if !applies(exchange, head, head.status) {
        return;
    }
    head.body_changes();
    if let Some(parts) = parts {
        head.has_body = true;
        chain.push(Around { before: parts.before, after: parts.after });
    }
}

struct Around {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Link for Around {
    fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        out.append(&mut self.before);
        out.extend_from_slice(input);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        out.append(&mut self.before);
        out.append(&mut self.after);
        Ok(())
    }
}
