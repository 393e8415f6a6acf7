//! Differential tests: the real nginx and Culvert get the same configuration and the same bytes, and status, headers,
//! body, what the upstream servers saw and the access log's line have to be equal.
//!
//! The cases are data, in `cases/*.txt`; `case.rs` says how they are written. Each is a test of its own:
//!
//! ```text
//! cargo test --test differential                              all of them
//! cargo test --test differential -- location                  those whose file or name contains a word
//! cargo test --test differential -- --nocapture 'exact wins'  with both transcripts in full
//! ```
//!
//! Where Culvert differs on purpose, the case itself says why and lists the difference line by line, so that the
//! difference is tested as well. `DIFFERENTIAL_AGAINST=nginx` runs nginx on both sides, which tests the tests.

mod case;
mod files;
mod http2;
mod observe;
mod render;
mod secure;
mod verdict;

use case::Case;
use culvert_testkit::Program;
use libtest_mimic::{Arguments, Failed, Trial};
use similar::{ChangeTag, TextDiff};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let verbose = arguments.nocapture;
    let trials =
        read_cases().into_iter().map(|case| Trial::test(case.name.clone(), move || compare(&case, verbose))).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// All cases of all files, in the order of their names.
fn read_cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/cases");
    let entries = std::fs::read_dir(&folder).expect("the folder of cases is part of the project");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| case::read(path)).collect()
}

/// Runs one case on both sides. The difference between them has to be the one that the case declares, mostly none.
fn compare(case: &Case, verbose: bool) -> Result<(), Failed> {
    let own = own_program();
    let judge = observe::observe(&Program::Nginx, case);
    let ours = observe::observe(&own, case);
    let declared: &[String] = match &case.differs {
        Some(differs) if own != Program::Nginx => &differs.lines,
        _ => &[],
    };
    if verbose {
        println!("{}\n\nnginx:\n{}\n\nculvert:\n{}\n", describe(case), judge.lines.join("\n"), ours.lines.join("\n"));
    }
    let difference = difference(&judge.lines, &ours.lines);
    let changed: Vec<&String> = difference.iter().filter(|line| !line.starts_with(' ')).collect();
    if changed.iter().copied().eq(declared) {
        return Ok(());
    }
    let told = match &case.differs {
        Some(differs) => format!("declared ({}):\n{}\n\n", differs.reason, differs.lines.join("\n")),
        None => String::new(),
    };
    let complaints = if ours.complaints.is_empty() { String::new() } else { format!("\n\n{}", ours.complaints) };
    let difference = difference.join("\n");
    Err(format!("{}\n\n{told}nginx (-), culvert (+):\n{difference}{complaints}\n", describe(case)).into())
}

fn own_program() -> Program {
    match std::env::var("DIFFERENTIAL_AGAINST").as_deref() {
        Ok("nginx") => Program::Nginx,
        _ => Program::culvert(env!("CARGO_BIN_EXE_culvert")),
    }
}

/// Both sides line by line: two spaces before a common line, `- ` before nginx's and `+ ` before Culvert's.
fn difference(judge: &[String], ours: &[String]) -> Vec<String> {
    let judge: Vec<&str> = judge.iter().map(String::as_str).collect();
    let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
    let diff = TextDiff::from_slices(&judge, &ours);
    let sign = |tag| match tag {
        ChangeTag::Equal => "  ",
        ChangeTag::Delete => "- ",
        ChangeTag::Insert => "+ ",
    };
    diff.iter_all_changes().map(|change| format!("{}{}", sign(change.tag()), change.value())).collect()
}

/// The case as a failure shows it.
fn describe(case: &Case) -> String {
    let mut told = format!("{}\n{}\n\nconfig:\n{}\n\nclient:", case.place, case.name, case.config.text);
    for step in &case.client {
        told += &format!("\n  {step}");
    }
    for (name, steps) in &case.backends {
        told += &format!("\n{name}:");
        for step in steps {
            told += &format!("\n  {step}");
        }
    }
    told
}
