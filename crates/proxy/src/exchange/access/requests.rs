//! `limit_req`: how often.

use super::stays;
use crate::exchange::{Client, Exchange, Next};
use culvert_conf::config::{Level, RequestLimit};
use culvert_engine::access::{Admission, RateLimit, admit};
use std::time::Duration;

/// A key longer than this is not counted.
const KEY_BYTES_MAX: usize = 65_535;

/// Counts the request, and delays or refuses it where it comes too soon.
pub(super) async fn check<C: Client>(exchange: &mut Exchange, client: &mut C) -> Option<Next> {
    if exchange.ledger.requests.is_some() {
        return None;
    }
    let settings = exchange.location.limits.clone();
    let refusal = settings.request_refusal;
    let dry_run = if refusal.dry_run { ", dry run" } else { "" };
    let zone_name = |exchange: &Exchange, limit: usize| zone_name(exchange, settings.requests[limit]);
    match decide(exchange, &settings.requests) {
        Admission::Uncounted => None,
        Admission::Pass => {
            exchange.ledger.requests = Some("PASSED");
            None
        }
        Admission::Delay { milliseconds, excess, limit } => {
            let (excess, zone) = (Thousandths(excess), zone_name(exchange, limit));
            let message = format!("delaying request{dry_run}, excess: {excess}, by zone \"{zone}\"");
            exchange.log(one_lower(refusal.level), message);
            exchange.ledger.requests = Some(if refusal.dry_run { "DELAYED_DRY_RUN" } else { "DELAYED" });
            if refusal.dry_run || stays(client, Duration::from_millis(milliseconds)).await {
                return None;
            }
            Some(super::leave(exchange))
        }
        Admission::Reject { excess, limit } => {
            let (excess, zone) = (Thousandths(excess), zone_name(exchange, limit));
            exchange
                .log(refusal.level, format_args!("limiting requests{dry_run}, excess: {excess} by zone \"{zone}\""));
            reject(exchange)
        }
        Admission::NoRoom { limit } => {
            let zone = zone_name(exchange, limit);
            exchange.log(Level::Alert, format_args!("could not allocate node in limit_req zone \"{zone}\""));
            reject(exchange)
        }
    }
}

fn decide(exchange: &Exchange, limits: &[RequestLimit]) -> Admission {
    let zones = &exchange.generation.config.http.tables.request_zones;
    let keys: Vec<Vec<u8>> = limits.iter().map(|limit| key(exchange, &zones[limit.zone])).collect();
    let limits: Vec<RateLimit<'_>> = limits
        .iter()
        .zip(&keys)
        .map(|(limit, key)| RateLimit {
            zone: exchange.generation.zones.requests(limit.zone),
            key,
            rate: zones[limit.zone].rate,
            burst: limit.burst,
            delay: limit.delay,
        })
        .collect();
    admit(&limits, exchange.generation.zones.now())
}

fn key(exchange: &Exchange, zone: &culvert_conf::config::Zone) -> Vec<u8> {
    let key = exchange.render(&zone.key);
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    let (name, value) = (&zone.key_text, String::from_utf8_lossy(&key));
    exchange.log(Level::Error, format_args!("the value of the \"{name}\" key is more than 65535 bytes: \"{value}\""));
    Vec::new()
}

fn zone_name(exchange: &Exchange, limit: RequestLimit) -> Box<str> {
    exchange.generation.config.http.tables.request_zones[limit.zone].name.clone()
}

fn reject(exchange: &mut Exchange) -> Option<Next> {
    let refusal = exchange.location.limits.request_refusal;
    exchange.ledger.requests = Some(if refusal.dry_run { "REJECTED_DRY_RUN" } else { "REJECTED" });
    (!refusal.dry_run).then_some(Next::Status(refusal.status))
}

/// nginx tells a delay one level lower than a refusal.
fn one_lower(level: Level) -> Level {
    match level {
        Level::Error => Level::Warn,
        Level::Warn => Level::Notice,
        _ => Level::Info,
    }
}

/// `1.500`.
struct Thousandths(u64);

impl std::fmt::Display for Thousandths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}
