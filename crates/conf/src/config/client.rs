//! How a client's connection is treated once its location is known: rates, closing, keep-alive, interim answers.

use culvert_engine::template::Template;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a location says about the connection to its client, beyond the times and sizes of
/// [`Location`](super::Location).
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// `limit_rate` in bytes per second; 0 is without limit.
    pub limit_rate: SizeValue,
    /// `limit_rate_after` in bytes.
    pub limit_rate_after: SizeValue,
    /// `chunked_transfer_encoding`: whether a body of unknown length goes to an HTTP/1.1 client in chunks.
    pub chunked_transfer_encoding: bool,
    /// `lingering_close`.
    pub lingering_close: LingeringClose,
    /// `reset_timedout_connection`.
    pub reset_timedout_connection: bool,
    /// `keepalive_disable`.
    pub keepalive_disable: KeepaliveDisable,
    /// `keepalive_min_timeout`: how long an idle connection is kept open whatever else happens.
    pub keepalive_min_timeout: Duration,
    /// `client_body_in_file_only`.
    pub body_file: BodyFile,
    /// `client_body_temp_path`.
    pub body_temp: Arc<TempPath>,
    /// `early_hints`: a 103 of the upstream is passed on where one of these is neither empty nor `0`.
    pub early_hints: Arc<[Template]>,
}

/// `client_body_in_file_only`: whether bodies of requests are written to files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyFile {
    /// `off`: never.
    Never,
    /// `clean`: for as long as the request lasts.
    Cleaned,
    /// `on`: they stay.
    Kept,
}

/// `client_body_temp_path`: where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TempPath {
    /// The folder.
    pub folder: PathBuf,
    /// How many letters the names of folders in folders have.
    pub levels: Vec<usize>,
}

/// A number of bytes: known, or rendered per request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SizeValue {
    /// Known when the configuration is read.
    Fixed(u64),
    /// With variables.
    Rendered(Template),
}

/// `lingering_close`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LingeringClose {
    /// Connections are closed at once.
    Off,
    /// What a client still sends is read and dropped for a while, where more is known to come.
    On,
    /// The same before every close.
    Always,
}

/// `keepalive_disable`: browsers whose connections are closed after each response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveDisable {
    /// Old versions of MSIE, after a POST.
    pub msie6: bool,
    /// Safari and its like on macOS.
    pub safari: bool,
}
