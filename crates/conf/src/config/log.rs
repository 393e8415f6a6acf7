//! Logs: where lines go, which lines, and what they look like.

use super::Place;
use culvert_engine::template::Template;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    /// A syslog server.
    Syslog(Arc<Syslog>),
}

/// `syslog:`, and how messages to it begin (RFC 3164).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Syslog {
    /// `server=`: where datagrams go.
    pub server: SyslogServer,
    /// `facility=`: its number.
    pub facility: u8,
    /// `severity=`: that of access log lines. Lines of the error log have their own.
    pub severity: Level,
    /// `tag=`.
    pub tag: Box<str>,
    /// `nohostname`: the machine's name is left out.
    pub nohostname: bool,
    /// Where the line stands.
    pub place: Place,
}

/// Where a syslog server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SyslogServer {
    /// A host name or address, resolved at the start, and a port.
    Inet(String, u16),
    /// A unix socket by its path.
    Unix(PathBuf),
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
    pub target: AccessTarget,
    /// What a line looks like.
    pub format: Arc<LogFormat>,
    /// `if=`: written unless the value is empty or `0`.
    pub condition: Option<LogCondition>,
    /// `buffer=`, `flush=` and `gzip=`. `None`: lines are written as soon as there is time.
    pub batch: Option<Batch>,
}

/// Where access log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessTarget {
    /// Always to the same place.
    Fixed(LogTarget),
    /// To a file whose absolute path has variables.
    Computed(Template),
}

/// How lines of a file are gathered before they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// `buffer=` in bytes.
    pub bytes: usize,
    /// `flush=`: the longest that a line waits.
    pub flush: Option<Duration>,
    /// `gzip=`: the level at which each batch is compressed.
    pub gzip: Option<u32>,
}

/// `open_log_file_cache`: which files of paths with variables stay open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFileCache {
    /// `max=`: how many.
    pub max: usize,
    /// `inactive=`: for how long without a line.
    pub inactive: Duration,
    /// `min_uses=`: after so many lines within that time.
    pub min_uses: u32,
    /// `valid=`: after how long it is looked whether the path still means the same file.
    pub valid: Duration,
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
