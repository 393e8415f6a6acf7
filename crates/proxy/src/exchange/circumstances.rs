//! What an error log line says of the request that it is about.

use super::{Exchange, Whom, route};
use crate::io::address::write_ip;
use crate::upstream::Endpoint;
use culvert_conf::config::Level;
use std::fmt::{self, Display};

impl Exchange {
    /// Writes an error log line with the request's circumstances behind it, as nginx does.
    pub(crate) fn log(&self, level: Level, message: impl Display) {
        if self.location.error_logs.iter().all(|log| level > log.level) {
            return;
        }
        let sink = self.generation.error_sink(&self.location.error_logs);
        sink.write(level, self.client.serial, format_args!("{message}{}{}", self.doing, self.circumstances()));
    }

    /// `, client: …, server: …, request: "…", upstream: "…", host: "…"`.
    pub(crate) fn circumstances(&self) -> Circumstances<'_> {
        Circumstances(self)
    }
}

/// The tail of an error log line about a request.
pub(crate) struct Circumstances<'a>(&'a Exchange);

impl Display for Circumstances<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exchange = self.0;
        f.write_str(", client: ")?;
        match exchange.client.remote {
            Some(addr) => write_ip(f, addr.ip().to_canonical())?,
            None => f.write_str("unix:")?,
        }
        f.write_str(", server: ")?;
        f.write_str(route::name_of(&exchange.server))?;
        let line = exchange.request.head.line();
        if !line.is_empty() {
            write_quoted(f, "request", line)?;
        }
        if exchange.is_subrequest {
            write_quoted(f, "subrequest", &exchange.request.uri)?;
        }
        self.write_upstream(f)?;
        if let Some(host) = exchange.request.head.headers.first("host") {
            write_quoted(f, "host", host)?;
        }
        if let Some(referrer) = exchange.request.head.headers.first("referer") {
            write_quoted(f, "referrer", referrer)?;
        }
        Ok(())
    }
}

impl Circumstances<'_> {
    /// The server that is being tried.
    fn write_upstream(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exchange = self.0;
        let trying = exchange.tries.last().filter(|attempt| attempt.response_time.is_none());
        let Some(attempt) = trying else { return Ok(()) };
        f.write_str(if exchange.proxied_by_tls { ", upstream: \"https://" } else { ", upstream: \"http://" })?;
        match &attempt.whom {
            Whom::Peer(peer) => match &peer.endpoint {
                Endpoint::Unix(path) => write!(f, "unix:{}:", path.display())?,
                endpoint => endpoint.fmt(f)?,
            },
            Whom::Nobody(upstream) => f.write_str(&upstream.name)?,
        }
        f.write_str(&String::from_utf8_lossy(&exchange.request.upstream_uri))?;
        f.write_str("\"")
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, name: &str, value: &[u8]) -> fmt::Result {
    for part in [", ", name, ": \"", &String::from_utf8_lossy(value), "\""] {
        f.write_str(part)?;
    }
    Ok(())
}
