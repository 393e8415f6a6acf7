//! `cargo xtask test`: what has to hold, in one command, on a fresh machine.

use crate::command::{self, cargo, find};
use crate::setup;
use anyhow::{Result, bail};

/// Installs what is missing, then runs every check, so that one run tells everything that is broken. The tests come last:
/// their summary is what is looked for at the end.
pub(crate) fn run(words: &[String]) -> Result<()> {
    setup::run()?;
    if !words.is_empty() {
        return command::run(cargo(&runner()).args(words));
    }
    let checks = [
        ("formatting", vec!["fmt", "--all", "--check"]),
        ("lints", vec!["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]),
        ("documentation tests", vec!["test", "--workspace", "--doc", "--quiet"]),
        ("tests", runner()),
    ];
    let mut failed = Vec::new();
    for (name, arguments) in checks {
        if let Err(error) = command::run(&mut cargo(&arguments)) {
            eprintln!("xtask: {error:#}");
            failed.push(name);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("failed: {}", failed.join(", ")),
    }
}

/// nextest where it is installed, since it gives every test a process of its own; else what cargo has.
fn runner() -> Vec<&'static str> {
    match find("cargo-nextest") {
        Some(_) => vec!["nextest", "run", "--workspace"],
        None => vec!["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"],
    }
}
