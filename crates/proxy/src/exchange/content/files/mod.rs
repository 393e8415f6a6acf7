//! Files: what answers where no handler is configured. nginx's content handlers, in its order.

mod compressed;
mod index;
mod listing;
mod listing_text;
mod open;
mod path;
mod plain;

pub(in crate::exchange) use open::{OpenError, Opened, open};
pub(in crate::exchange) use path::{DiskPath, disk_path, real_root, root};

use self::compressed::Answer;
use super::{Content, head, send};
use crate::exchange::{Client, Exchange, Next};
use crate::observe::error_log::os_error;
use bytes::Bytes;
use culvert_conf::config::Level;
use std::io;

/// Answers with a file, an index file, a list of files, or with why there is none.
pub(in crate::exchange) async fn serve<C: Client>(exchange: &mut Exchange, client: &mut C) -> Next {
    if exchange.request.uri.ends_with(b"/") {
        folder(exchange, client).await
    } else if !method_is(exchange, &[b"GET", b"HEAD", b"POST"]) {
        Next::Status(405)
    } else {
        match compressed::look(exchange) {
            Answer::Send(head, opened, name) => plain::send(exchange, client, *head, opened, name).await,
            Answer::NotFound => Next::Status(404),
            Answer::Plain { varies } => plain::serve(exchange, client, varies).await,
        }
    }
}

async fn folder<C: Client>(exchange: &mut Exchange, client: &mut C) -> Next {
    if method_is(exchange, &[b"GET", b"HEAD", b"POST"]) {
        if let Some(next) = index::random(exchange) {
            return next;
        }
        if let Some(next) = index::find(exchange) {
            return next;
        }
    }
    if method_is(exchange, &[b"GET", b"HEAD"]) && exchange.location.files.listing {
        return listing::serve(exchange, client).await;
    }
    if !method_is(exchange, &[b"GET", b"HEAD", b"POST"]) {
        return Next::Status(405);
    }
    if let Some(path) = disk_path(exchange) {
        exchange.log(Level::Error, format_args!("directory index of \"{path}\" is forbidden"));
    }
    Next::Status(403)
}

fn method_is(exchange: &Exchange, methods: &[&[u8]]) -> bool {
    methods.contains(&exchange.request.method())
}

/// `empty_gif`.
pub(in crate::exchange) async fn empty_gif<C: Client>(exchange: &mut Exchange, client: &mut C) -> Next {
    /// The smallest GIF there is: one transparent pixel.
    const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\x01\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\x01\0,\0\0\0\0\x01\0\x01\0\0\
        \x02\x02L\x01\0;";
    if !method_is(exchange, &[b"GET", b"HEAD"]) {
        return Next::Status(405);
    }
    let mut head = head(exchange, 200, Some(GIF.len() as u64));
    head.headers.push(b"Content-Type", b"image/gif");
    head.headers.push(b"Last-Modified", b"Mon, 28 Sep 1970 06:00:00 GMT");
    send(exchange, client, head, Content::Bytes(Bytes::from_static(GIF))).await
}

/// Why a path leads to no file, in nginx's words, and the status that follows.
fn refuse(exchange: &Exchange, call: &str, path: &DiskPath, error: &io::Error) -> Next {
    let (level, status) = classify(error);
    if status != 404 || exchange.location.log_not_found {
        exchange.log(level, format_args!("{call} \"{path}\" failed ({})", os_error(error)));
    }
    Next::Status(status)
}

/// What the operating system's answer means: what is not there, what is forbidden, or what should not have happened.
fn classify(error: &io::Error) -> (Level, u16) {
    use nix::errno::Errno;
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ENAMETOOLONG) => (Level::Error, 404),
        Some(Errno::EACCES | Errno::EMLINK | Errno::ELOOP) => (Level::Error, 403),
        // A zero byte in a path: nothing has such a name.
        None if error.kind() == io::ErrorKind::InvalidInput => (Level::Error, 404),
        _ => (Level::Crit, 500),
    }
}
