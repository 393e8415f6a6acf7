//! What `if (-f …)` and `try_files` ask of the file system.

use crate::exchange::Exchange;
use crate::exchange::content::files::{self, DiskPath, OpenError};
use crate::observe::error_log::os_error;
use culvert_conf::config::{FileTest, Level, Symlinks};
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

/// What is at a path.
pub(super) struct Found {
    pub(super) is_folder: bool,
    is_plain: bool,
    is_executable: bool,
}

/// S_IXUSR: what nginx means by executable.
const OWNER_MAY_EXECUTE: u32 = 0o100;

/// Whether `test` holds for `path`.
pub(super) fn holds(exchange: &Exchange, test: FileTest, path: &[u8]) -> bool {
    look(exchange, path).is_some_and(|found| match test {
        FileTest::Plain => found.is_plain,
        FileTest::Directory => found.is_folder,
        FileTest::Exists => found.is_plain || found.is_folder,
        FileTest::Executable => found.is_executable,
    })
}

/// What is at `path`. What can't be looked at does not exist, and the log says why unless it is simply absent.
pub(super) fn look(exchange: &Exchange, path: &[u8]) -> Option<Found> {
    match metadata(exchange, path) {
        Ok(found) => Some(Found {
            is_folder: found.is_dir(),
            is_plain: found.is_file(),
            is_executable: found.permissions().mode() & OWNER_MAY_EXECUTE != 0,
        }),
        Err(OpenError { call, error }) => {
            if !is_absence(&error) {
                let path = String::from_utf8_lossy(path);
                exchange.log(Level::Crit, format_args!("{call} \"{path}\" failed ({})", os_error(&error)));
            }
            None
        }
    }
}

/// Where symbolic links are not followed (`disable_symlinks`), what lies behind one is not there either.
fn metadata(exchange: &Exchange, path: &[u8]) -> Result<Metadata, OpenError> {
    let failed = |error| OpenError { call: "stat()", error };
    match exchange.location.files.symlinks {
        Symlinks::Followed => std::fs::metadata(OsStr::from_bytes(path)).map_err(failed),
        _ => files::open(exchange, &DiskPath::whole(path))?.file.metadata().map_err(failed),
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}
