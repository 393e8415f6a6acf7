//! One file, as it is.

use super::open::Kind;
use super::{Opened, disk_path, open, refuse};
use crate::exchange::client::{OutHead, RangeUse};
use crate::exchange::content::{self, Content};
use crate::exchange::{Client, Exchange, Next, route};
use culvert_conf::config::Level;

/// Answers with the file that the URI names.
pub(super) async fn serve<C: Client>(exchange: &mut Exchange, client: &mut C, varies: bool) -> Next {
    let Some(path) = disk_path(exchange) else { return Next::Status(500) };
    let opened = match open(exchange, &path) {
        Ok(opened) => opened,
        Err(failed) => return refuse(exchange, failed.call, &path, &failed.error),
    };
    match opened.kind {
        Kind::Folder => return route::add_slash(exchange),
        Kind::Other => {
            exchange.log(Level::Crit, format_args!("\"{path}\" is not a regular file"));
            return Next::Status(404);
        }
        Kind::Regular => {}
    }
    if exchange.request.method() == b"POST" {
        return Next::Status(405);
    }
    let head = OutHead { varies, ..describe(exchange, &opened) };
    send(exchange, client, head, opened, path.to_string()).await
}

/// All that a head can say of a file.
pub(super) fn describe(exchange: &Exchange, opened: &Opened) -> OutHead {
    let mut head = content::head(exchange, 200, Some(opened.length));
    let content_type = exchange.content_type();
    if !content_type.is_empty() {
        head.headers.push(b"Content-Type", &content_type);
    }
    head.headers.push(b"Last-Modified", httpdate::fmt_http_date(opened.modified_time()).as_bytes());
    if exchange.location.files.etag {
        let tag = format!("\"{:x}-{:x}\"", opened.modified, opened.length);
        head.headers.push(b"ETag", tag.as_bytes());
    }
    head.ranges = RangeUse::Many;
    head
}

/// Sends a file.
pub(in crate::exchange) async fn send<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    head: OutHead,
    opened: Opened,
    name: String,
) -> Next {
    let content = Content::File { file: opened.file, length: opened.length, name };
    content::send(exchange, client, head, content).await
}
