//! The error log in nginx's shape: `2026/11/22 07:00:00 [error] 123#124: *45 what happened, client: …, server: …`.

use super::clock;
use super::log_file::{LogFile, LogFiles};
use culvert_conf::config::{ErrorLog, Level, LogTarget};
use std::fmt::Display;
use std::io;
use std::sync::Arc;

/// The logs that take a line of one context, with their levels.
#[derive(Debug, Clone, Default)]
pub(crate) struct ErrorSink {
    targets: Vec<(Arc<LogFile>, Level)>,
}

impl ErrorSink {
    /// The open files of `logs`.
    pub(crate) fn new(logs: &[ErrorLog], files: &LogFiles) -> ErrorSink {
        let open = |log: &ErrorLog| files.of(&log.target).map(|file| (file.clone(), log.level));
        ErrorSink { targets: logs.iter().filter_map(open).collect() }
    }

    /// Whether a line of `level` would be written anywhere; lets callers skip composing it.
    pub(crate) fn takes(&self, level: Level) -> bool {
        self.targets.iter().any(|(_, limit)| level <= *limit)
    }

    /// Makes the first file take what the process prints on standard error, say a panic's message, in place of a terminal that
    /// was left. Where a log is standard error itself, that stays what it is.
    pub(crate) fn take_stderr(&self) -> io::Result<()> {
        if self.targets.iter().any(|(file, _)| *file.target() == LogTarget::Stderr) {
            return Ok(());
        }
        let taken = self.targets.iter().find_map(|(file, _)| file.with_file(|file| nix::unistd::dup2_stderr(file)));
        taken.unwrap_or(Ok(())).map_err(io::Error::from)
    }

    /// Writes a line. `connection` is the serial number behind the asterisk; 0 writes none.
    pub(crate) fn write(&self, level: Level, connection: u64, message: impl Display) {
        if !self.takes(level) {
            return;
        }
        let line = compose(level, connection, &message);
        for (file, limit) in &self.targets {
            if level <= *limit {
                file.write_error(level, &line);
            }
        }
    }
}

/// nginx cuts its lines at this length too (NGX_MAX_ERROR_STR).
const LINE_BYTES_MAX: usize = 2048;

fn compose(level: Level, connection: u64, message: &dyn Display) -> Vec<u8> {
    let mut line = Vec::with_capacity(256);
    clock::error_log_time(&mut line);
    let ids = format!(" [{}] {}#{}: ", level.name(), std::process::id(), nix::unistd::gettid());
    line.extend_from_slice(ids.as_bytes());
    if connection != 0 {
        line.extend_from_slice(format!("*{connection} ").as_bytes());
    }
    // A line end from hostile input must not begin a new line of the log.
    line.extend(message.to_string().bytes().map(|b| if b < 0x20 { b' ' } else { b }));
    line.truncate(LINE_BYTES_MAX - 1);
    line.push(b'\n');
    line
}

/// `recv() failed (104: Connection reset by peer)`, or what a protocol above the system's calls has to say.
pub(crate) fn failure(call: &str, error: &io::Error) -> String {
    match error.get_ref() {
        Some(inner) => inner.to_string(),
        None => format!("{call}() failed ({})", os_error(error)),
    }
}

/// An error as nginx prints it: `111: Connection refused`.
pub(crate) fn os_error(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => {
            let text = error.to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            format!("{number}: {text}")
        }
        None => error.to_string(),
    }
}
