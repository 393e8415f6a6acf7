//! Values that are looked up: `map`, `geo` and `split_clients`. Each says, too, whether it is to be looked up anew each time.

use crate::exchange::Exchange;
use culvert_conf::config::Level;
use culvert_engine::access::real_address;
use std::net::IpAddr;

impl Exchange {
    /// The value of a `map`.
    pub(super) fn map(&self, map: usize) -> (Vec<u8>, bool) {
        let map = &self.generation.config.http.maps[map];
        let value = match map.table.lookup(&self.render(&map.source)) {
            Ok(Some(found)) => {
                if let Some(captures) = found.captures {
                    self.captures.replace(captures);
                    self.assign(found.assigns);
                }
                self.render(found.value)
            }
            Ok(None) => Vec::new(),
            Err(slow) => {
                self.log(Level::Error, format_args!("{slow} in a map"));
                Vec::new()
            }
        };
        (value, map.volatile)
    }

    /// The value of a `geo`.
    pub(super) fn geo(&self, geo: usize) -> (Vec<u8>, bool) {
        let geo = &self.generation.config.http.tables.geos[geo];
        let own = match &geo.source {
            None => self.client.remote.map(|address| address.ip()),
            Some(source) => address_in(&self.render(source)),
        };
        let headers = &self.request.head.headers;
        let trusts = |ip: Option<IpAddr>| geo.proxies.iter().any(|network| network.contains(ip));
        let forwarded = match geo.proxies.is_empty() {
            true => None,
            false => {
                let lines: Vec<_> = headers.all("x-forwarded-for").collect();
                real_address(own, lines.into_iter(), geo.proxy_recursive, trusts)
            }
        };
        let address = forwarded.map(|address| address.ip()).or(own);
        (geo.table.lookup(address).to_vec(), geo.volatile)
    }

    /// The value of a `split_clients`.
    pub(super) fn split(&self, split: usize) -> (Vec<u8>, bool) {
        let split = &self.generation.config.http.tables.splits[split];
        (split.table.lookup(&self.render(&split.source)).to_vec(), false)
    }
}

fn address_in(text: &[u8]) -> Option<IpAddr> {
    str::from_utf8(text).ok()?.parse().ok()
}
