//! Responses of the gateway's own: files, pages of numbers, and the short ones of a `return` or an error.

pub(super) mod files;
pub(super) mod metrics_page;
pub(super) mod reply;
mod send;
mod status;
pub(super) mod status_page;

pub(super) use reply::Reply;
pub(super) use send::send;
pub(crate) use status::reason;

use super::Exchange;
use super::client::OutHead;
use bytes::Bytes;
use std::fs::File;

/// What is sent.
pub(super) enum Content {
    /// What is in memory.
    Bytes(Bytes),
    /// A file of this length; its name is for log lines.
    File { file: File, length: u64, name: String },
}

/// A head for content of the gateway's own. `length` is `None` where it shall not be said.
pub(super) fn head(exchange: &Exchange, status: u16, length: Option<u64>) -> OutHead {
    let may_have_body = !matches!(status, 204 | 304) && !exchange.is_head();
    OutHead {
        status,
        content_length: length,
        has_body: may_have_body && length != Some(0),
        is_own: true,
        ..OutHead::default()
    }
}

impl Exchange {
    /// The type of a text at the current URI: the one that an `X-Accel-Redirect` brought along, else by the extension of its
    /// last part, else `default_type`.
    pub(super) fn content_type(&self) -> Bytes {
        if let Some(carried) = self.carried.first("content-type") {
            return Bytes::copy_from_slice(carried);
        }
        let last = self.request.uri.rsplit(|&b| b == b'/').next().unwrap_or_default();
        // A dot at the beginning makes a hidden file, not an extension.
        let dot = last.iter().rposition(|&b| b == b'.').filter(|&dot| dot > 0);
        let extension = dot.map(|dot| String::from_utf8_lossy(&last[dot + 1..]).to_lowercase());
        let listed = extension.and_then(|extension| self.location.types.get(extension.as_str()));
        listed.unwrap_or(&self.location.default_type).clone()
    }
}
