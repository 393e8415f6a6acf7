//! Other programs: found, shown, run.

use crate::root;
use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where Debian keeps servers; an ordinary account's `PATH` lacks them.
const SERVER_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The path of a program, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SERVER_DIRECTORIES.map(PathBuf::from));
    directories.map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// `PATH` with the servers' directories, for what is started from here.
pub(crate) fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(SERVER_DIRECTORIES.map(PathBuf::from));
    std::env::join_paths(directories).unwrap_or(path)
}

/// This cargo, in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root()).env("PATH", search_path());
    command
}

/// Shows a command as it would be typed, runs it, and asks that it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    println!("$ {shown}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("could not start {shown}"))?;
    match status.success() {
        true => Ok(()),
        false => bail!("{shown}: {status}"),
    }
}

/// A command's words; a script among them is only hinted at.
fn show(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let words = command.get_args().map(|word| match word.to_string_lossy() {
        script if script.contains('\n') => "'…'".to_owned(),
        word => word.into_owned(),
    });
    std::iter::once(name).chain(words).collect::<Vec<_>>().join(" ")
}
