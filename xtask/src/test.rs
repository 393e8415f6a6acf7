//! `cargo xtask test`: what has to hold, in one command, on a fresh machine.

use crate::command::{self, cargo, find};
use crate::{root, setup};
use anyhow::{Result, bail};
use std::process::Command;

/// Installs what is missing, then runs every check, so that one run tells everything that is broken. The tests come last:
/// their summary is what is looked for at the end.
pub(crate) fn run(words: &[String]) -> Result<()> {
    setup::run()?;
    if !words.is_empty() {
        return command::run(cargo(&runner()).args(words));
    }
    let checks = [
        ("formatting", cargo(&["fmt", "--all", "--check"])),
        ("lints", cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])),
        ("fuzz targets", fuzz_targets()),
        ("documentation tests", cargo(&["test", "--workspace", "--doc", "--quiet"])),
        ("tests", cargo(&runner())),
    ];
    let mut failed = Vec::new();
    for (name, mut check) in checks {
        if let Err(error) = command::run(&mut check) {
            eprintln!("xtask: {error:#}");
            failed.push(name);
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("failed: {}", failed.join(", ")),
    }
}

/// Whether the fuzz targets, a workspace of their own, still fit the crates that they are about.
fn fuzz_targets() -> Command {
    let mut check =
        cargo(&["check", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target/fuzz", "--bins", "--quiet"]);
    // Nothing is linked, so libFuzzer need not be built, which would take a C++ compiler and its time. Any file that exists
    // passes for the library.
    check.env("CUSTOM_LIBFUZZER_PATH", root().join("fuzz/Cargo.toml"));
    check
}

/// nextest where it is installed, since it gives every test a process of its own; else what cargo has.
fn runner() -> Vec<&'static str> {
    match find("cargo-nextest") {
        Some(_) => vec!["nextest", "run", "--workspace"],
        None => vec!["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"],
    }
}
