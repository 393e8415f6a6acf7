//! `limit_conn`: how many at a time. A request is counted until it is over; one that became a tunnel until that ends.

use crate::exchange::{Exchange, Next};
use culvert_conf::config::Level;
use culvert_engine::access::{Connections, Entered};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A longer key is not counted.
const KEY_BYTES_MAX: usize = 255;

/// The places where a request is counted. Dropping them counts it out. `None` where it is counted nowhere, so that a
/// tunnel without limits holds a pointer for it and nothing else.
#[derive(Debug, Default)]
pub(crate) struct Seats(Option<Box<Taken>>);

#[derive(Debug, Default)]
struct Taken(Vec<Seat>);

struct Seat {
    zone: Arc<Mutex<Connections>>,
    key: Box<[u8]>,
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Seat").field(&self.key).finish()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner).leave(&self.key);
    }
}

/// Counts the request in all zones, or refuses it.
pub(super) fn check(exchange: &mut Exchange) -> Option<Next> {
    if exchange.ledger.connections.is_some() {
        return None;
    }
    let settings = exchange.location.limits.clone();
    let refusal = settings.connection_refusal;
    let generation = exchange.generation.clone();
    for limit in settings.connections.iter() {
        let zone = &generation.config.http.tables.connection_zones[limit.zone];
        let key = exchange.render(&zone.key);
        if key.is_empty() {
            continue;
        }
        if key.len() > KEY_BYTES_MAX {
            let (name, value) = (&zone.key_text, String::from_utf8_lossy(&key));
            exchange
                .log(Level::Error, format_args!("the value of the \"{name}\" key is more than 255 bytes: \"{value}\""));
            continue;
        }
        exchange.ledger.connections = Some("PASSED");
        let counts = generation.zones.connections(limit.zone);
        let entered = counts.lock().unwrap_or_else(PoisonError::into_inner).enter(&key, limit.most);
        let name = &zone.name;
        match entered {
            Entered::Counted => {
                let seat = Seat { zone: counts.clone(), key: key.into() };
                exchange.ledger.seats.0.get_or_insert_default().0.push(seat);
                continue;
            }
            Entered::Limited => {
                let dry_run = if refusal.dry_run { ", dry run," } else { "" };
                exchange.log(refusal.level, format_args!("limiting connections{dry_run} by zone \"{name}\""));
            }
            Entered::NoRoom => {
                exchange.log(Level::Crit, format_args!("could not allocate node in limit_conn_zone \"{name}\""));
            }
        }
        exchange.ledger.seats = Seats::default();
        exchange.ledger.connections = Some(if refusal.dry_run { "REJECTED_DRY_RUN" } else { "REJECTED" });
        return (!refusal.dry_run).then_some(Next::Status(refusal.status));
    }
    None
}
