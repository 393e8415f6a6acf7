//! Which files an `include` names, and reading them with nginx's words for what goes wrong.

use std::io;
use std::path::{Path, PathBuf};

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

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        let call = if error.kind() == io::ErrorKind::IsADirectory { "pread()" } else { "open()" };
        format!("{call} \"{}\" failed ({})", path.display(), os_error(&error))
    })
}

/// `2: No such file or directory`, in nginx's manner.
fn os_error(error: &io::Error) -> String {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else { return text };
    format!("{code}: {}", text.split(" (os error").next().unwrap_or(&text))
}
