//! What the figures were measured on, and with.

use super::peer::{Kind, Peer};
use crate::root;
use std::fs;
use std::process::Command;

/// A list of facts: what, and its value.
pub(super) fn facts(peers: &[Peer]) -> Vec<(String, String)> {
    let mut facts = vec![
        ("date".to_owned(), said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("processor".to_owned(), processor()),
        ("memory".to_owned(), memory()),
        ("kernel".to_owned(), kernel()),
        ("commit".to_owned(), commit()),
    ];
    for peer in peers.iter().filter(|peer| peer.kind != Kind::CulvertRaw) {
        facts.push((peer.kind.title().to_owned(), version(peer)));
    }
    facts
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // The generator has given one core up by now.
    let cores = cores.max(text.lines().filter(|line| line.starts_with("processor")).count());
    format!("{model}, {cores} cores")
}

fn memory() -> String {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
    kilobytes.map_or("unknown".to_owned(), |kilobytes: f64| format!("{:.1} GiB", kilobytes / 1_048_576.0))
}

fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}", release.trim())
}

/// The commit that is checked out, and whether anything but the bench's own results was changed since.
fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).current_dir(root()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".to_owned() };
    let changed =
        git(&["status", "--porcelain", "--", "src", "crates", "Cargo.lock", "Cargo.toml"]).unwrap_or_default();
    if changed.is_empty() { commit } else { format!("{commit} and changes since") }
}

fn version(peer: &Peer) -> String {
    let words: &[&str] = if peer.kind == Kind::Caddy { &["version"] } else { &["-v"] };
    let said = said(&peer.program.display().to_string(), words);
    let said = said.strip_prefix("nginx version: ").or(said.strip_prefix("culvert version: ")).unwrap_or(&said);
    said.split(" - https").next().unwrap_or(said).to_owned()
}

/// The first line that a program prints; nginx prints its version to standard error.
fn said(program: &str, words: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(words).output() else { return "unknown".to_owned() };
    let printed = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&printed).lines().next().unwrap_or("unknown").trim().to_owned()
}
