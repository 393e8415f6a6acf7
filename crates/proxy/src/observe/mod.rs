//! What operators see: logs, and the one Outcome that every exchange ends in.

pub(crate) mod access_log;
pub(crate) mod clock;
pub(crate) mod complaints;
pub(crate) mod error_log;
mod log_buffer;
pub(crate) mod log_file;
pub(crate) mod metrics;
pub(crate) mod path_logs;
mod syslog;
