//! What `if (-f …)` asks of the file system.

use super::Exchange;
use culvert_conf::config::{FileTest, Level};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

/// Whether `test` holds for `path`. What can't be looked at does not exist, and the log says why unless it is simply absent.
pub(super) fn holds(exchange: &Exchange, test: FileTest, path: &[u8]) -> bool {
    match std::fs::metadata(OsStr::from_bytes(path)) {
        Ok(found) => match test {
            FileTest::Plain => found.is_file(),
            FileTest::Directory => found.is_dir(),
            FileTest::Exists => found.is_file() || found.is_dir(),
            FileTest::Executable => found.permissions().mode() & OWNER_MAY_EXECUTE != 0,
        },
        Err(error) => {
            if !is_absence(&error) {
                let path = String::from_utf8_lossy(path);
                let number = error.raw_os_error().unwrap_or_default();
                let text = nix::errno::Errno::from_raw(number).desc();
                exchange.log(Level::Crit, format_args!("stat() \"{path}\" failed ({number}: {text})"));
            }
            false
        }
    }
}

/// S_IXUSR: what nginx means by executable.
const OWNER_MAY_EXECUTE: u32 = 0o100;

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput)
}
