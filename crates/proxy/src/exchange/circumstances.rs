//! What an error log line says of the request that it is about.

use super::{Exchange, route};
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
        write!(f, ", client: ")?;
        match exchange.client.remote {
            Some(addr) => write!(f, "{}", addr.ip().to_canonical())?,
            None => write!(f, "unix:")?,
        }
        write!(f, ", server: {}", route::name_of(&exchange.server))?;
        let line = exchange.request.head.line();
        if !line.is_empty() {
            write!(f, ", request: \"{}\"", String::from_utf8_lossy(line))?;
        }
        if exchange.is_subrequest {
            write!(f, ", subrequest: \"{}\"", String::from_utf8_lossy(&exchange.request.uri))?;
        }
        if let Some(attempt) = exchange.tries.last().filter(|attempt| attempt.response_time.is_none()) {
            let uri = String::from_utf8_lossy(&exchange.request.upstream_uri);
            let scheme = if exchange.proxied_by_tls { "https" } else { "http" };
            match attempt.endpoint() {
                Some(Endpoint::Unix(path)) => write!(f, ", upstream: \"{scheme}://unix:{}:{uri}\"", path.display())?,
                Some(endpoint) => write!(f, ", upstream: \"{scheme}://{endpoint}{uri}\"")?,
                None => write!(f, ", upstream: \"{scheme}://{}{uri}\"", attempt.upstream.name)?,
            }
        }
        if let Some(host) = exchange.request.head.headers.first("host") {
            write!(f, ", host: \"{}\"", String::from_utf8_lossy(host))?;
        }
        if let Some(referrer) = exchange.request.head.headers.first("referer") {
            write!(f, ", referrer: \"{}\"", String::from_utf8_lossy(referrer))?;
        }
        Ok(())
    }
}
