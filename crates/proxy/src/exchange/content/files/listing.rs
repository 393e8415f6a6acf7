//! `autoindex`: what is in a folder.

use super::{disk_path, listing_text, refuse};
use crate::exchange::content::{self, Content};
use crate::exchange::{Client, Exchange, Next};
use crate::observe::error_log::os_error;
use culvert_conf::config::{Level, ListingFormat};
use nix::errno::Errno;
use std::fs::{DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryKind,
    /// Seconds since 1970.
    pub(super) modified: i64,
    pub(super) length: u64,
}

/// What it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum EntryKind {
    Folder,
    File,
    Other,
}

/// The longest name of a function that a client may ask for.
const CALLBACK_BYTES_MAX: usize = 128;

/// Answers with the list of the folder at the current URI.
pub(super) async fn serve<C: Client>(exchange: &mut Exchange, client: &mut C) -> Next {
    let Some(path) = disk_path(exchange) else { return Next::Status(500) };
    let (format, callback) = match format(exchange) {
        Ok(found) => found,
        Err(next) => return next,
    };
    let folder = path.folder();
    let entries = match std::fs::read_dir(folder.as_path()) {
        Ok(entries) => entries,
        Err(error) => return refuse(exchange, "opendir()", &folder, &error),
    };
    let mut entries: Vec<Entry> = entries.filter_map(|entry| look(exchange, entry)).collect();
    entries.sort_by(|one, other| {
        let is_folder = |entry: &Entry| entry.kind == EntryKind::Folder;
        is_folder(other).cmp(&is_folder(one)).then_with(|| one.name.cmp(&other.name))
    });
    let (content_type, text) = listing_text::write(exchange, format, &callback, &entries);
    // As nginx, which begins to answer before it has read the folder, it does not say how long the list is.
    let mut head = content::head(exchange, 200, None);
    head.headers.push(b"Content-Type", content_type);
    content::send(exchange, client, head, Content::Bytes(text.into())).await
}

/// The format, and for `jsonp` the function's name, if one was asked for.
fn format(exchange: &Exchange) -> Result<(ListingFormat, Vec<u8>), Next> {
    let format = exchange.location.files.listing_format;
    if format != ListingFormat::Jsonp {
        return Ok((format, Vec::new()));
    }
    let asked = exchange.argument("callback").filter(|callback| !callback.is_empty());
    let Some(asked) = asked else { return Ok((ListingFormat::Json, Vec::new())) };
    if asked.len() > CALLBACK_BYTES_MAX {
        let shown = String::from_utf8_lossy(asked);
        exchange.log(Level::Info, format_args!("client sent too long callback name: \"{shown}\""));
        return Err(Next::Status(400));
    }
    if !asked.iter().all(|b| b.is_ascii_alphanumeric() || b"_.".contains(b)) {
        let shown = String::from_utf8_lossy(asked);
        exchange.log(Level::Info, format_args!("client sent invalid callback name: \"{shown}\""));
        return Err(Next::Status(400));
    }
    Ok((format, asked.to_vec()))
}

fn look(exchange: &Exchange, entry: io::Result<DirEntry>) -> Option<Entry> {
    let entry = entry.ok()?;
    let name = entry.file_name().as_bytes().to_vec();
    if name.starts_with(b".") {
        return None;
    }
    let found = match entry.path().metadata() {
        Err(error) if is_dangling(&error) => entry.metadata(),
        found => found,
    };
    match found {
        Ok(found) => Some(Entry { name, kind: kind(&found), modified: found.mtime(), length: found.size() }),
        Err(error) => {
            let path = entry.path();
            exchange.log(Level::Crit, format_args!("stat() \"{}\" failed ({})", path.display(), os_error(&error)));
            None
        }
    }
}

/// A link that leads nowhere is listed as what it is itself.
fn is_dangling(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOENT | Errno::ELOOP))
}

fn kind(found: &Metadata) -> EntryKind {
    match found {
        found if found.is_dir() => EntryKind::Folder,
        found if found.is_file() => EntryKind::File,
        _ => EntryKind::Other,
    }
}
