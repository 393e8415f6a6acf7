//! The zones of `limit_req_zone` and `limit_conn_zone`: shared by all workers, and kept over reloads.

use culvert_conf::config::{Tables, Zone};
use culvert_engine::access::{Connections, Rates};
use std::sync::{Arc, Mutex};
use tokio::time::Instant;

/// The zones of a configuration, in its order.
#[derive(Debug)]
pub(crate) struct Zones {
    /// Times are counted from here, by this configuration and all that follow it.
    epoch: Instant,
    requests: Vec<Arc<Mutex<Rates>>>,
    connections: Vec<Arc<Mutex<Connections>>>,
}

impl Zones {
    /// The zones of `tables`, with the counts of those that were there `before` with the same name and size. A zone can't
    /// change what it counts by.
    pub(crate) fn plan(tables: &Tables, before: Option<(&Tables, &Zones)>, errors: &mut Vec<String>) -> Zones {
        let old = |zone: &Zone, zones: fn(&Tables) -> &[Zone]| {
            let (tables, _) = before?;
            let at = zones(tables).iter().position(|old| old.name == zone.name && old.bytes == zone.bytes)?;
            Some((at, zones(tables)[at].key_text.clone()))
        };
        let mut requests = Vec::new();
        for zone in &tables.request_zones {
            let known = old(zone, |tables| &tables.request_zones);
            errors.extend(known.as_ref().and_then(|(_, key)| changed("limit_req", zone, key)));
            let kept = known.zip(before).map(|((at, _), (_, zones))| zones.requests[at].clone());
            requests.push(kept.unwrap_or_else(|| Arc::new(Mutex::new(Rates::new(zone.bytes)))));
        }
        let mut connections = Vec::new();
        for zone in &tables.connection_zones {
            let known = old(zone, |tables| &tables.connection_zones);
            errors.extend(known.as_ref().and_then(|(_, key)| changed("limit_conn_zone", zone, key)));
            let kept = known.zip(before).map(|((at, _), (_, zones))| zones.connections[at].clone());
            connections.push(kept.unwrap_or_else(|| Arc::new(Mutex::new(Connections::new(zone.bytes)))));
        }
        let epoch = before.map_or_else(Instant::now, |(_, zones)| zones.epoch);
        Zones { epoch, requests, connections }
    }

    /// The zone of a `limit_req`.
    pub(super) fn requests(&self, zone: usize) -> &Mutex<Rates> {
        &self.requests[zone]
    }

    /// The zone of a `limit_conn`.
    pub(super) fn connections(&self, zone: usize) -> &Arc<Mutex<Connections>> {
        &self.connections[zone]
    }

    /// Milliseconds since the gateway started.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn changed(what: &str, zone: &Zone, before: &str) -> Option<String> {
    let Zone { name, key_text, .. } = zone;
    let message = || {
        format!("[emerg] {what} \"{name}\" uses the \"{key_text}\" key while previously it used the \"{before}\" key")
    };
    (**key_text != *before).then(message)
}
