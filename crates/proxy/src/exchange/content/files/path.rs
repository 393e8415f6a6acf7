//! Where on the disk a URI is (`root`, `alias`), and the variables that say so.

use crate::exchange::Exchange;
use crate::observe::error_log::os_error;
use culvert_conf::config::{Level, RootKind};
use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path on the disk, and how much of its beginning is the configuration's.
#[derive(Debug, Clone)]
pub(in crate::exchange) struct DiskPath {
    bytes: Vec<u8>,
    root_length: usize,
}

impl DiskPath {
    /// A path that the configuration gives as a whole.
    pub(in crate::exchange) fn whole(path: &[u8]) -> DiskPath {
        DiskPath { bytes: path.into(), root_length: path.len() }
    }

    /// The path.
    pub(in crate::exchange) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.bytes))
    }

    /// Its bytes.
    pub(in crate::exchange) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What stands behind the configuration's folder.
    pub(super) fn behind_root(&self) -> &[u8] {
        &self.bytes[self.root_length..]
    }

    /// The path with more behind it.
    pub(super) fn with(&self, more: &[u8]) -> DiskPath {
        DiskPath { bytes: [&self.bytes, more].concat(), root_length: self.root_length }
    }

    /// The path without its last slash, as a folder is opened.
    pub(super) fn folder(&self) -> DiskPath {
        let mut folder = self.clone();
        if folder.bytes.len() > 1 && folder.bytes.ends_with(b"/") {
            folder.bytes.pop();
        }
        folder
    }
}

impl Display for DiskPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.bytes))
    }
}

/// Where the current URI is. `None`, with a line in the log, where its location's `alias` can't say: the URI is not the one
/// that the location was chosen for.
pub(in crate::exchange) fn disk_path(exchange: &Exchange) -> Option<DiskPath> {
    let kind = exchange.location.files.root.kind;
    let request = &exchange.request;
    let skipped = match kind {
        RootKind::Root => 0,
        RootKind::Alias(_) | RootKind::AliasWhole if !request.location_is_valid => {
            let name = &exchange.location.name;
            exchange.log(
                Level::Alert,
                format_args!("\"alias\" cannot be used in location \"{name}\" where URI was rewritten"),
            );
            return None;
        }
        RootKind::Alias(length) => length.min(request.uri.len()),
        RootKind::AliasWhole if request.uri_behind_alias => 0,
        RootKind::AliasWhole => request.uri.len(),
    };
    let mut bytes = root(exchange);
    let root_length = bytes.len();
    bytes.extend_from_slice(&request.uri[skipped..]);
    Some(DiskPath { bytes, root_length })
}

/// `$document_root`: what `root` or `alias` is for this request.
pub(in crate::exchange) fn root(exchange: &Exchange) -> Vec<u8> {
    let files = &exchange.location.files;
    let root = exchange.render(&files.root.path);
    match files.root.path.as_literal() {
        None if !root.starts_with(b"/") => {
            let prefix: PathBuf = files.prefix.join(OsStr::from_bytes(&root));
            prefix.into_os_string().into_vec()
        }
        _ => root,
    }
}

/// `$realpath_root`: the same without symbolic links and dots. `None`, with a line in the log, where there is no such folder.
pub(in crate::exchange) fn real_root(exchange: &Exchange) -> Option<Vec<u8>> {
    let root = root(exchange);
    match std::fs::canonicalize(OsStr::from_bytes(&root)) {
        Ok(path) => Some(path.into_os_string().into_vec()),
        Err(error) => {
            let root = String::from_utf8_lossy(&root);
            exchange.log(Level::Crit, format_args!("realpath() \"{root}\" failed ({})", os_error(&error)));
            None
        }
    }
}
