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
    /// `worker_cpu_affinity`.
    pub worker_cpu_affinity: CpuAffinity,
    /// `worker_priority`: the nice value.
    pub worker_priority: i32,
    /// `worker_rlimit_core` in bytes.
    pub worker_rlimit_core: Option<u64>,
    /// `working_directory`, absolute.
    pub working_directory: Option<PathBuf>,
    /// `error_log` of the main context.
    pub error_log: Arc<[ErrorLog]>,
}

/// Which CPUs worker threads run on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CpuAffinity {
    /// Wherever the kernel puts them.
    #[default]
    Anywhere,
    /// One CPU each: of all that the process may use, or of these among them.
    Auto(Option<Vec<usize>>),
    /// These CPUs for each thread; the last list holds for all further ones. An empty list is any CPU.
    Masks(Vec<Vec<usize>>),
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
