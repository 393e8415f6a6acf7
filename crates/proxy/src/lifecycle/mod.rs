//! From a configuration to running workers, through reloads, to the end.

mod body_folders;
mod generation;
#[cfg(test)]
pub(crate) mod in_memory;
mod pid_file;
mod plan;
mod privileges;
mod process;
mod sockets;
mod supervisor;
pub(crate) mod worker;

pub(crate) use generation::{Generation, Site};
pub(crate) use privileges::raised as as_root;
pub(crate) use supervisor::worker_count;
pub(crate) use worker::Shared;

use culvert_conf::config::Config;
use plan::Plan;

/// Reads the configuration anew: the configuration and its warnings, or the errors. Both are lines in nginx's form:
/// `[warn] …`, `[emerg] …`.
pub type Reload = Box<dyn FnMut() -> Result<(Config, Vec<String>), Vec<String>> + Send>;

/// Everything that a start needs.
pub struct Launch {
    /// What to run.
    pub config: Config,
    /// Reads the configuration anew, for a reload.
    pub reload: Reload,
    /// Stay in the foreground, whatever `daemon`, `user` and `pid` say: for the demo.
    pub foreground: bool,
    /// Called once when all listeners are bound.
    pub ready: Option<Box<dyn FnOnce() + Send>>,
}

/// Does everything that a start does short of serving: resolves names, opens logs, binds addresses. A port that is in use is
/// no error here, since the gateway that is being tested for may well be running. The errors are lines in nginx's form.
pub fn check(config: &Config) -> Result<Vec<String>, Vec<String>> {
    let plan = Plan::new(config.clone(), None)?;
    plan.try_sockets()?;
    Ok(plan.warnings)
}

/// Runs the gateway until a signal ends it. The errors, all from before the first connection was accepted, are lines in
/// nginx's form.
pub fn run(launch: Launch) -> Result<(), Vec<String>> {
    supervisor::run(launch)
}

#[cfg(test)]
mod tests;
