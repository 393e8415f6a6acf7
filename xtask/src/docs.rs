//! `cargo xtask docs`: the references under `docs/reference`, written from the tables that the program runs on.

use crate::command::cargo;
use crate::root;
use anyhow::{Context, Result, bail};
use std::fs;

/// Where the references lie.
const DIRECTORY: &str = "docs/reference";

/// The command lines whose help is a reference, with the words that print it.
const HELPS: [(&str, &[&str]); 4] = [
    ("culvert", &["-h"]),
    ("culvert echo", &["echo", "--help"]),
    ("culvert connect", &["connect", "--help"]),
    ("culvert demo", &["demo", "--help"]),
];

/// Writes the references, or with `--check` says which of them are out of date.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let check = match words {
        [] => false,
        [word] if word == "--check" => true,
        _ => bail!("docs takes nothing but --check"),
    };
    let mut stale = Vec::new();
    for (name, text) in references()? {
        let path = root().join(DIRECTORY).join(name);
        if fs::read_to_string(&path).is_ok_and(|written| written == text) {
            continue;
        }
        match check {
            true => stale.push(name),
            false => write(&path, &text)?,
        }
    }
    match stale.is_empty() {
        true => Ok(()),
        false => bail!("out of date: {}; \"cargo xtask docs\" writes them", stale.join(", ")),
    }
}

fn references() -> Result<[(&'static str, String); 5]> {
    Ok([
        ("directives.md", culvert_conf::reference_markdown()),
        ("variables.md", culvert_conf::variables_markdown()),
        ("metrics.md", culvert_conf::metrics_markdown()),
        ("nginx.md", culvert_conf::nginx_markdown()),
        ("command-line.md", command_line_markdown()?),
    ])
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    let directory = path.parent().expect("a reference lies in a directory");
    fs::create_dir_all(directory).with_context(|| format!("could not create {}", directory.display()))?;
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// What every `--help` prints. The version's line is left out, or each release would change the page.
fn command_line_markdown() -> Result<String> {
    let mut text = "# The command line\n\nWritten by `cargo xtask docs` from what the program prints.\n".to_owned();
    for (name, words) in HELPS {
        let output = cargo(&["run", "--quiet", "--package", "culvert", "--"])
            .args(words)
            .output()
            .with_context(|| format!("could not run {name}"))?;
        if !output.status.success() {
            bail!("{name} {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        // nginx prints its help to standard error, and so does the gateway.
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with("culvert version:")).collect();
        text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n").trim()));
    }
    Ok(text)
}
