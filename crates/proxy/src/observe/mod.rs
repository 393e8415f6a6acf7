//! What operators see: logs, and the one Outcome that every exchange ends in.

pub(crate) mod access_log;
pub(crate) mod clock;
pub(crate) mod error_log;
pub(crate) mod log_file;
pub(crate) mod metrics;
