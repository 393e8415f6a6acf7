//! Logs: where lines go, which lines, and what they look like.

use culvert_engine::template::Template;
use std::path::PathBuf;
use std::sync::Arc;

/// One `error_log`: a place and the least severe level that goes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLog {
    /// Where lines go.
    pub target: LogTarget,
    /// The least severe level written.
    pub level: Level,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum LogTarget {
    /// A file, by absolute path.
    File(PathBuf),
    /// Standard error.
    Stderr,
}

/// nginx's severity levels, the most severe first, so that `level <= limit` asks whether a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// The gateway can't go on.
    Emerg,
    /// Needs attention at once.
    Alert,
    /// A critical condition.
    Crit,
    /// A request or connection failed.
    Error,
    /// Something odd that did no harm.
    Warn,
    /// Worth a note.
    Notice,
    /// What clients do.
    Info,
    /// What the gateway does.
    Debug,
}

impl Level {
    /// The name in configuration files and log lines.
    pub fn name(self) -> &'static str {
        match self {
            Level::Emerg => "emerg",
            Level::Alert => "alert",
            Level::Crit => "crit",
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Notice => "notice",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// One `access_log` that a location writes to.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// Where lines go.
    pub target: LogTarget,
    /// What a line looks like.
    pub format: Arc<LogFormat>,
    /// `if=`: written unless the value is empty or `0`.
    pub condition: Option<LogCondition>,
}

/// The value that `if=` asks about.
pub type LogCondition = Template;

/// A `log_format`.
#[derive(Debug, Clone)]
pub struct LogFormat {
    /// Its name: `combined`, `main`, …
    pub name: String,
    /// How variables' bytes are escaped.
    pub escape: Escape,
    /// The line without its line feed.
    pub line: Template,
}

/// `escape=` of a `log_format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// `"`, `\` and bytes below 32 or above 126 become `\xXX`; an absent value is `-`.
    Default,
    /// As JSON strings need it; an absent value is empty.
    Json,
    /// Nothing; an absent value is empty.
    None,
}
