//! What an error log line says of the request that it is about.

use super::{Exchange, Whom, route};
use crate::io::address::write_ip;
use crate::upstream::Endpoint;
use culvert_conf::config::Level;
use std::fmt::{self, Display, Write};

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
        f.write_str(&self.text())
    }
}

impl Circumstances<'_> {
    /// As text. Every tunnel keeps one, so it is put together without the formatting machinery.
    pub(super) fn text(&self) -> String {
        let exchange = self.0;
        // Growing from nothing, it would be moved five times.
        let mut text = String::with_capacity(BYTES_USUALLY);
        text.push_str(", client: ");
        match exchange.client.remote {
            // A string takes whatever is written to it.
            Some(addr) => _ = write_ip(&mut text, addr.ip().to_canonical()),
            None => text.push_str("unix:"),
        }
        text.push_str(", server: ");
        text.push_str(route::name_of(&exchange.server));
        let line = exchange.request.head.line();
        if !line.is_empty() {
            push_quoted(&mut text, ", request: \"", line);
        }
        if exchange.is_subrequest {
            push_quoted(&mut text, ", subrequest: \"", &exchange.request.uri);
        }
        self.push_upstream(&mut text);
        if let Some(host) = exchange.request.head.headers.first("host") {
            push_quoted(&mut text, ", host: \"", host);
        }
        if let Some(referrer) = exchange.request.head.headers.first("referer") {
            push_quoted(&mut text, ", referrer: \"", referrer);
        }
        text
    }

    /// The server that is being tried.
    fn push_upstream(&self, text: &mut String) {
        let exchange = self.0;
        let trying = exchange.tries.last().filter(|attempt| attempt.response_time.is_none());
        let Some(attempt) = trying else { return };
        text.push_str(if exchange.proxied_by_tls { ", upstream: \"https://" } else { ", upstream: \"http://" });
        match &attempt.whom {
            Whom::Peer(peer) => match &peer.endpoint {
                Endpoint::Unix(path) => _ = write!(text, "unix:{}:", path.display()),
                endpoint => _ = write!(text, "{endpoint}"),
            },
            Whom::Nobody(upstream) => text.push_str(&upstream.name),
        }
        push_quoted(text, "", &exchange.request.upstream_uri);
    }
}

/// What a log line says of most requests is no longer.
const BYTES_USUALLY: usize = 256;

fn push_quoted(text: &mut String, before: &str, value: &[u8]) {
    text.push_str(before);
    match str::from_utf8(value) {
        Ok(value) => text.push_str(value),
        Err(_) => text.push_str(&String::from_utf8_lossy(value)),
    }
    text.push('"');
}
