//! `gzip_static`: a file that lies compressed beside the one that was asked for.

use super::open::Kind;
use super::{Opened, classify, disk_path, open, plain};
use crate::exchange::Exchange;
use crate::exchange::client::{OutHead, RangeUse};
use crate::exchange::filter::takes_gzip;
use crate::observe::error_log::os_error;
use culvert_conf::config::{GzipStatic, Level};

/// What is sent.
pub(super) enum Answer {
    /// The compressed file, with this head.
    Send(Box<OutHead>, Opened, String),
    /// It is no file.
    NotFound,
    /// The file that was asked for.
    Plain {
        /// Other clients would get the compressed one.
        varies: bool,
    },
}

/// Looks for `FILE.gz`.
pub(super) fn look(exchange: &Exchange) -> Answer {
    let plain = Answer::Plain { varies: false };
    let mode = exchange.location.files.gzip_static;
    if mode == GzipStatic::Off || exchange.request.method() == b"POST" {
        return plain;
    }
    let is_taken = mode == GzipStatic::Always || takes_gzip(exchange, &OutHead::default());
    if !is_taken && !exchange.location.filters.gzip.vary {
        return plain;
    }
    let Some(path) = disk_path(exchange).map(|path| path.with(b".gz")) else { return plain };
    let opened = match open(exchange, &path) {
        Ok(opened) => opened,
        Err(failed) => {
            let (level, status) = classify(&failed.error);
            if status != 404 {
                let answer = os_error(&failed.error);
                exchange.log(level, format_args!("{} \"{path}\" failed ({answer})", failed.call));
            }
            return plain;
        }
    };
    let varies = mode == GzipStatic::On;
    match opened.kind {
        _ if !is_taken => Answer::Plain { varies },
        Kind::Folder => Answer::Plain { varies },
        Kind::Other => {
            exchange.log(Level::Crit, format_args!("\"{path}\" is not a regular file"));
            Answer::NotFound
        }
        Kind::Regular => {
            let mut head = plain::describe(exchange, &opened);
            head.headers.push(b"Content-Encoding", b"gzip");
            head.ranges = RangeUse::None;
            head.varies = varies;
            Answer::Send(Box::new(head), opened, path.to_string())
        }
    }
}
