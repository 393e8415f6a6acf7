//! Which files an `include` names, and reading them with nginx's words for what goes wrong.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How much of a file is read. Nothing that is larger was meant as a configuration, and some files never end.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The files that a path or mask names. A mask gives what exists, sorted, possibly nothing; a plain path gives itself.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    let text = path.to_string_lossy();
    if !text.contains(['*', '?', '[']) {
        return Ok(vec![path.to_path_buf()]);
    }
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let found = glob::glob_with(&text, options).map_err(|error| format!("glob() \"{text}\" failed: {error}"))?;
    Ok(found.filter_map(Result::ok).collect())
}

/// Reads a file that must be a regular one: a pipe could keep a reload, and with it all signals, waiting for its
/// writer. `/dev/null` will do as well, since people write it for "nothing".
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>, String> {
    let found = path.metadata().map_err(|error| failed("open()", path, &error))?;
    let is_nothing = || path.canonicalize().is_ok_and(|real| real == Path::new("/dev/null"));
    // A folder's message comes of reading it.
    if found.is_file() || found.is_dir() || is_nothing() {
        return read(path);
    }
    Err(format!("\"{}\" is not a regular file", path.display()))
}

/// Reads a file, which may be a pipe.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|error| failed("open()", path, &error))?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(|error| failed("pread()", path, &error))?;
    match text.len() as u64 > FILE_BYTES_MAX {
        true => Err(format!("\"{}\" is too large, more than {} MiB", path.display(), FILE_BYTES_MAX >> 20)),
        false => Ok(text),
    }
}

fn failed(call: &str, path: &Path, error: &io::Error) -> String {
    format!("{call} \"{}\" failed ({})", path.display(), os_error(error))
}

/// `2: No such file or directory`, in nginx's manner.
fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else { return text };
    format!("{code}: {}", text.split(" (os error").next().unwrap_or(&text))
}
