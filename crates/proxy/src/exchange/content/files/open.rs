//! Opening a file, with as much respect for symbolic links as `disable_symlinks` wants.

use super::DiskPath;
use crate::exchange::Exchange;
use culvert_conf::config::Symlinks;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::exchange) enum Kind {
    Regular,
    Folder,
    /// A pipe, a device, a socket.
    Other,
}

/// A file that could be opened.
#[derive(Debug)]
pub(in crate::exchange) struct Opened {
    pub(in crate::exchange) file: File,
    pub(in crate::exchange) kind: Kind,
    pub(in crate::exchange) length: u64,
    /// When it was changed, in seconds since 1970; 0 for what is older.
    pub(in crate::exchange) modified: u64,
}

impl Opened {
    /// When it was changed.
    pub(super) fn modified_time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.modified)
    }
}

/// Why a file could not be opened: the system call that failed, and its answer.
#[derive(Debug)]
pub(in crate::exchange) struct OpenError {
    pub(in crate::exchange) call: &'static str,
    pub(in crate::exchange) error: io::Error,
}

/// Never waits: opening a pipe must not hang until somebody writes to it.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);
const SEARCH: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens what is at `path` for reading.
pub(in crate::exchange) fn open(exchange: &Exchange, path: &DiskPath) -> Result<Opened, OpenError> {
    let (from, same_owner) = match &exchange.location.files.symlinks {
        Symlinks::Followed => return plain(path.bytes()),
        Symlinks::Refused(from) => (from, false),
        Symlinks::OfSameOwner(from) => (from, true),
    };
    let from = from.as_ref().map(|from| exchange.render(from)).unwrap_or_default();
    match trusted_length(path.bytes(), &from) {
        Some(trusted) => walk(path.bytes(), trusted, same_owner),
        None => plain(path.bytes()),
    }
}

fn plain(path: &[u8]) -> Result<Opened, OpenError> {
    let file = rustix::fs::openat(CWD, path, READ, Mode::empty()).map_err(|error| failed("open()", error))?;
    look(file)
}

/// How much of `path` is not looked at, since it is `from`. `None` where that is all of it.
fn trusted_length(path: &[u8], from: &[u8]) -> Option<usize> {
    if from.is_empty() || !path.starts_with(from) {
        return Some(0);
    }
    if from.len() == path.len() {
        return None;
    }
    Some(match (path[from.len()], path[from.len() - 1]) {
        (b'/', _) => from.len(),
        (_, b'/') => from.len() - 1,
        _ => 0,
    })
}

/// Goes along the path folder by folder, so that no link in it goes unseen, whatever happens to it meanwhile.
fn walk(path: &[u8], trusted: usize, same_owner: bool) -> Result<Opened, OpenError> {
    let start = if trusted > 0 { &path[..trusted] } else { b"/" };
    let mut at = rustix::fs::openat(CWD, start, SEARCH, Mode::empty()).map_err(|error| failed("open()", error))?;
    let mut rest = &path[trusted..];
    while let Some(slash) = rest.iter().position(|&b| b == b'/') {
        let name = &rest[..slash];
        if !name.is_empty() {
            at = step(&at, name, SEARCH, same_owner).map_err(|error| failed("openat()", error))?;
        }
        rest = &rest[slash + 1..];
    }
    let name = if rest.is_empty() { b"." } else { rest };
    look(step(&at, name, READ, same_owner).map_err(|error| failed("openat()", error))?)
}

fn step(at: &OwnedFd, name: &[u8], how: OFlags, same_owner: bool) -> rustix::io::Result<OwnedFd> {
    if !same_owner {
        return rustix::fs::openat(at, name, how | OFlags::NOFOLLOW, Mode::empty());
    }
    let file = rustix::fs::openat(at, name, how, Mode::empty())?;
    let link = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match rustix::fs::fstat(&file)?.st_uid == link.st_uid {
        true => Ok(file),
        false => Err(rustix::io::Errno::LOOP),
    }
}

fn look(file: OwnedFd) -> Result<Opened, OpenError> {
    let status = rustix::fs::fstat(file.as_fd()).map_err(|error| failed("fstat()", error))?;
    let kind = match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => Kind::Regular,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    };
    let length = u64::try_from(status.st_size).unwrap_or(0);
    let modified = u64::try_from(status.st_mtime).unwrap_or(0);
    Ok(Opened { file: file.into(), kind, length, modified })
}

fn failed(call: &'static str, error: rustix::io::Errno) -> OpenError {
    OpenError { call, error: error.into() }
}

#[cfg(test)]
mod tests {
    use super::trusted_length;

    #[test]
    fn what_from_gives_is_trusted_up_to_a_slash() {
        for (from, trusted) in [("", Some(0)), ("/www", Some(4)), ("/www/", Some(4)), ("/ww", Some(0)), ("/x", Some(0))]
        {
            assert_eq!(trusted_length(b"/www/a/b", from.as_bytes()), trusted, "{from}");
        }
        assert_eq!(trusted_length(b"/www/a/b", b"/www/a/b"), None);
    }
}
