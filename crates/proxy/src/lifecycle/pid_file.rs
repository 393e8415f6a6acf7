//! The pid file: there once every listener is bound, gone when the gateway ends.

use super::privileges;
use crate::observe::error_log::os_error;
use std::path::{Path, PathBuf};

/// A pid file of this process; removed when dropped.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the process id. The error is nginx's message.
    pub(super) fn write(path: &Path) -> Result<PidFile, String> {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| format!("[emerg] open() \"{}\" failed ({})", path.display(), os_error(&error)))?;
        Ok(PidFile(path.to_owned()))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Whoever removed it already had a reason.
        let _ = privileges::raised(|| std::fs::remove_file(&self.0));
    }
}
