//! The main context: processes, limits, privileges, files.

use super::ErrorLog;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What stands outside `http`.
#[derive(Debug, Clone)]
pub struct Main {
    /// `worker_processes`: how many worker threads run; `None` is `auto`, one per core.
    pub worker_processes: Option<usize>,
    /// `worker_connections`: how many connections, both sides counted, one worker thread may hold.
    pub worker_connections: usize,
    /// `worker_rlimit_nofile`: the descriptor limit to ask for; `None` asks for all that the hard limit allows.
    pub worker_rlimit_nofile: Option<u64>,
    /// `worker_shutdown_timeout`: how long a graceful stop waits for tunnels and requests; `None` waits for ever.
    pub worker_shutdown_timeout: Option<Duration>,
    /// `user`: whom a start as root becomes once the sockets are bound.
    pub user: Option<User>,
    /// `pid`: the pid file, absolute; `None` is `off`.
    pub pid: Option<PathBuf>,
    /// `daemon`: whether to leave the terminal.
    pub daemon: bool,
    /// `error_log` of the main context.
    pub error_log: Arc<[ErrorLog]>,
}

/// The `user` directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The account's name.
    pub name: String,
    /// The group's name; nginx's default is the account's own name.
    pub group: String,
    /// Where the directive stands.
    pub place: super::Place,
}
