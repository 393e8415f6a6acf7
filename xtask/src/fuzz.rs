//! `cargo xtask fuzz`: hostile input for the parsers and state machines, found by libFuzzer on a stable compiler.
//!
//! The programs are a workspace of their own (`fuzz/`), since everything in them is instrumented. The compiler's own flag for
//! that wants a nightly one; LLVM's pass behind it does not.

use crate::command::{self, find};
use crate::root;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What there is to run, each with the folders of the checkout that are a beginning for it as well.
const TARGETS: [(&str, &[&str]); 5] = [
    ("frames", &[]),
    ("tunnel", &[]),
    ("http1", &[]),
    ("proxy_protocol", &[]),
    ("config", &["examples", "crates/conf/tests/golden"]),
];

/// Counters for edges, a table of them, and the values that comparisons are made with.
const INSTRUMENTATION: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// How much is shown of what a finding says; its log has the rest.
const FINDING_LINES_MAX: usize = 12;

/// An input that takes so long is a finding.
const INPUT_SECONDS_MAX: u32 = 10;

const USAGE: &str = "\
Usage: cargo xtask fuzz [TARGET]... [--seconds N] [--replay FILE]

Runs the fuzz targets one after another, each for N seconds (60 unless told): frames, tunnel,
http1, proxy_protocol, config; without a TARGET all of them. What is learned stays in target/fuzz/corpus.

  --seconds N      how long each target runs
  --replay FILE    runs one TARGET once, on an input that was found
";

/// What the words of the task say.
struct Orders {
    targets: Vec<String>,
    seconds: u32,
    replay: Option<PathBuf>,
}

/// Builds the targets and runs those that `words` name.
pub(crate) fn run(words: Vec<String>) -> Result<()> {
    let Some(orders) = read(words)? else {
        print!("{USAGE}");
        return Ok(());
    };
    let folder = build(&orders.targets)?;
    if let Some(file) = &orders.replay {
        let file = std::path::absolute(file).context("the file has no absolute path")?;
        let replay = |target| command::run(Command::new(folder.join(target)).arg(&file));
        return orders.targets.iter().try_for_each(replay);
    }
    let mut findings = Vec::new();
    for target in &orders.targets {
        if let Err(error) = fuzz(&folder, target, orders.seconds) {
            eprintln!("xtask: {error:#}");
            findings.push(target.as_str());
        }
    }
    match findings.is_empty() {
        true => Ok(()),
        false => {
            bail!("findings in {}: see target/fuzz/findings, and try them again with --replay", findings.join(", "))
        }
    }
}

fn read(words: Vec<String>) -> Result<Option<Orders>> {
    use lexopt::prelude::*;
    let mut orders = Orders { targets: Vec::new(), seconds: 60, replay: None };
    let mut parser = lexopt::Parser::from_args(words);
    while let Some(word) = parser.next()? {
        match word {
            Short('h') | Long("help") => return Ok(None),
            Long("seconds") => orders.seconds = parser.value()?.parse()?,
            Long("replay") => orders.replay = Some(parser.value()?.into()),
            Value(name) => orders.targets.push(name.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let known = TARGETS.map(|(name, _)| name);
    if let Some(unknown) = orders.targets.iter().find(|target| !known.contains(&target.as_str())) {
        bail!("there is no target \"{unknown}\"\n\n{USAGE}");
    }
    if orders.replay.is_some() && orders.targets.len() != 1 {
        bail!("--replay wants the one target that the input is for");
    }
    if orders.targets.is_empty() {
        orders.targets = known.map(str::to_owned).into();
    }
    Ok(Some(orders))
}

/// Builds the programs; the folder that they are in.
fn build(targets: &[String]) -> Result<PathBuf> {
    if find("c++").is_none() {
        bail!("libFuzzer is built by a C++ compiler, and there is none: please install g++");
    }
    let host = host()?;
    let output = root().join("target/fuzz");
    let mut build = command::cargo(&["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target", &host]);
    build.arg("--target-dir").arg(&output).env("RUSTFLAGS", INSTRUMENTATION.join(" "));
    for target in targets {
        build.args(["--bin", target]);
    }
    command::run(&mut build)?;
    Ok(output.join(host).join("release"))
}

/// The machine's own triple. It is named so that build scripts and macros are built without the instrumentation.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().context("could not start rustc")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say what it builds for")?.to_owned())
}

fn fuzz(folder: &Path, target: &str, seconds: u32) -> Result<()> {
    let work = root().join("target/fuzz");
    let (learned, findings) = (work.join("corpus").join(target), work.join("findings"));
    for needed in [&learned, &findings] {
        std::fs::create_dir_all(needed).with_context(|| format!("could not make {}", needed.display()))?;
    }
    let seeds = TARGETS.iter().filter(|(name, _)| *name == target).flat_map(|(_, seeds)| *seeds);
    let mut run = Command::new(folder.join(target));
    run.arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
        .arg(format!("-artifact_prefix={}/{target}-", findings.display()))
        .arg("-print_final_stats=1")
        // What is learned goes to the first folder; the others are only read.
        .arg(learned)
        .arg(root().join("fuzz/corpus").join(target))
        .args(seeds.map(|folder| root().join(folder)))
        .current_dir(root());
    let log = work.join(format!("{target}.log"));
    println!("fuzzing {target} for {seconds} s; its log is {}", log.display());
    let file = File::create(&log).with_context(|| format!("could not write {}", log.display()))?;
    let status = run.stdin(Stdio::null()).stderr(file).status().with_context(|| format!("could not start {target}"))?;
    let said = std::fs::read(&log).unwrap_or_default();
    conclude(target, status.success(), &String::from_utf8_lossy(&said))
}

/// What a run's log comes to: how many inputs it tried, or what it found.
fn conclude(target: &str, is_clean: bool, log: &str) -> Result<()> {
    let inputs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    if is_clean {
        println!("{target}: {} inputs, no finding", inputs.unwrap_or("no").trim());
        return Ok(());
    }
    let is_of_interest = |line: &&str| !line.starts_with('#') && !line.starts_with("INFO:");
    let found: Vec<&str> = log.lines().filter(is_of_interest).take(FINDING_LINES_MAX).collect();
    let input = log.lines().find_map(|line| line.split_once("Test unit written to ")).map_or("none", |(_, path)| path);
    bail!("{target} has a finding; its input is {input}\n{}", found.join("\n"))
}
