//! What people run while developing Culvert: `cargo xtask test`, `cargo xtask docs`, `cargo xtask bench`, `cargo xtask fuzz`.

mod bench;
mod command;
mod corpus;
mod docs;
mod fuzz;
mod setup;
mod test;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask TASK

  test [ARGUMENTS]       installs what the tests need, then formatting, lints, documentation
                         tests and all tests; with arguments for the test runner (say a part
                         of a test's name), only those tests
  setup                  installs what the tests need
  docs [--check]         writes docs/reference from the tables that the program runs on;
                         with --check, only says whether it is up to date
  bench [ROW]...         measures Culvert against nginx; \"bench --help\" says more
  corpus FOLDER          what nginx and Culvert say of a folder of configurations, and where
                         they disagree
  fuzz [TARGET]...       hostile input for parsers and state machines; \"fuzz --help\" says more
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let task = words.next().unwrap_or_default();
    match run(&task, words.collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: &str, words: Vec<String>) -> Result<()> {
    match task {
        "test" => test::run(&words),
        "setup" => setup::run(),
        "docs" => docs::run(&words),
        "bench" => bench::run(words),
        "fuzz" => fuzz::run(words),
        "corpus" => corpus::run(&words),
        "" | "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no task \"{other}\"\n\n{USAGE}"),
    }
}

/// The workspace's root, wherever the task was started.
fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask lies in the workspace's root").to_owned()
}
