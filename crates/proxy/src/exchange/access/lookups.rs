//! The values of `geo` and `split_clients`, of `$invalid_referer`, `$secure_link` and the PROXY protocol's variables.

use crate::exchange::Exchange;
use culvert_conf::config::Level;
use culvert_engine::access::{check_link, check_secret, expiry_of, real_address};
use culvert_engine::template::Template;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

impl Exchange {
    /// The value of a `geo`, and whether it is to be looked up anew each time.
    pub(in crate::exchange) fn geo(&self, geo: usize) -> (Vec<u8>, bool) {
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
    pub(in crate::exchange) fn split(&self, split: usize) -> Vec<u8> {
        let split = &self.generation.config.http.tables.splits[split];
        split.table.lookup(&self.render(&split.source)).to_vec()
    }

    /// `$invalid_referer`.
    pub(in crate::exchange) fn has_invalid_referer(&self) -> bool {
        let Some(referers) = &self.location.access.referers else { return false };
        let referer = self.request.head.headers.first("referer");
        referers.allows(referer).map(|allowed| !allowed).unwrap_or_else(|slow| {
            self.log(Level::Error, format_args!("{slow} in \"valid_referers\""));
            true
        })
    }

    /// `$secure_link`.
    pub(in crate::exchange) fn secure_link(&self) -> Option<Vec<u8>> {
        let settings = &self.location.access.secure_link;
        if let Some(secret) = &settings.secret {
            return check_secret(self.request.unparsed(), secret).map(<[u8]>::to_vec);
        }
        let (link, md5) = (self.render(settings.link.as_ref()?), self.render(settings.md5.as_ref()?));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        check_link(&link, &md5, now).map(<[u8]>::to_vec)
    }

    /// `$secure_link_expires`.
    pub(in crate::exchange) fn secure_link_expires(&self) -> Option<Vec<u8>> {
        let link: &Template = self.location.access.secure_link.link.as_ref()?;
        expiry_of(&self.render(link)).map(<[u8]>::to_vec)
    }
}

fn address_in(text: &[u8]) -> Option<IpAddr> {
    str::from_utf8(text).ok()?.parse().ok()
}
