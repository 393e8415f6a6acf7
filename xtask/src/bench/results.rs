//! `bench/RESULTS.md`: the tables of a full run.

use super::findings::Findings;
use super::growth::{self, Course};
use super::kernel::{Kernel, SOCKETS_PER_TUNNEL};
use super::peer::Kind;
use super::report::{judge, show_target};
use super::sizes::show_bytes;
use super::{instructions, sizes, syscalls};
use crate::root;
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::fs;

const INTRODUCTION: &str = "\
# Results of the bench

Written by `cargo xtask bench`; any row can be run again by its name (`cargo xtask bench --list`).

All proxies run one worker, with configurations that say the same ([peers](peers)), in front of the same backend, driven
by the same generator, on loopback; the proxy has a core of its own, where there is more than one. They take turns, with a
fresh process for each sample, and the figures are medians.
CPU is user and system time of the proxy's own processes, memory their proportional set size (PSS). *Raw* is Culvert with
`websocket_frames off`: it copies bytes and doesn't look at frames. KB are 1,000 bytes. The ratio is Culvert's figure to
the better one of nginx's and HAProxy's.
";

/// All of it, as Markdown.
pub(super) fn markdown(findings: &Findings, facts: &[(String, String)]) -> String {
    let mut text = INTRODUCTION.to_owned();
    text.push_str("\n| | |\n|---|---|\n");
    for (what, value) in facts {
        text.push_str(&format!("| {what} | {value} |\n"));
    }
    text.push_str(&format!("| rounds | {} of {:.1} s |\n", findings.rounds, findings.window.as_secs_f64()));
    text.push_str(&table(findings));
    text.push_str(&sizes_table(findings));
    text.push_str(&growth_table(&findings.growth));
    text.push_str(&syscalls_table(findings));
    text.push_str(&instructions_table(findings));
    text.push_str(&findings.kernel.as_ref().map(kernel_table).unwrap_or_default());
    text
}

/// Replaces the table in the README.
pub(super) fn write_into_readme(findings: &Findings) -> Result<()> {
    let path = root().join("README.md");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let Some(text) = between_marks(&text, &readme_table(findings)) else {
        bail!("{} has no place for the figures: {MARKS:?}", path.display());
    };
    fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))
}

/// Where the README's table stands.
const MARKS: [&str; 2] = ["<!-- figures -->\n", "<!-- /figures -->"];

fn between_marks(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(MARKS[0])?;
    let (_, after) = rest.split_once(MARKS[1])?;
    Some(format!("{before}{}{table}{}{after}", MARKS[0], MARKS[1]))
}

/// The figures in short.
fn readme_table(findings: &Findings) -> String {
    const KINDS: [Kind; 4] = [Kind::Culvert, Kind::Nginx, Kind::Haproxy, Kind::Caddy];
    let mut text = "| | Culvert | nginx | HAProxy | Caddy | ratio |\n|---|---|---|---|---|---|\n".to_owned();
    for measured in &findings.rows {
        for figure in measured.row.figures {
            let show = |kind| measured.median(kind, figure.quantity).map(|value| figure.quantity.show(value));
            let medians = KINDS.map(|kind| show(kind).unwrap_or("–".to_owned()));
            let ratio =
                judge(measured, figure, Kind::Culvert).ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = writeln!(text, "| {} | {} | {ratio} |", figure.what, medians.join(" | "));
        }
    }
    text
}

/// The table of the figures with their targets.
fn table(findings: &Findings) -> String {
    let mut text = "\n## The figures\n\n| | ".to_owned();
    text.push_str(&Kind::ALL.map(|kind| format!("{} | ", kind.title())).concat());
    text.push_str("ratio | target | |\n|---|---|---|---|---|---|---|---|---|\n");
    for measured in &findings.rows {
        for figure in measured.row.figures {
            let medians = Kind::ALL.map(|kind| match measured.median(kind, figure.quantity) {
                Some(value) => figure.quantity.show(value),
                None if !findings.kinds.contains(&kind) => "not installed here".to_owned(),
                None => "–".to_owned(),
            });
            let verdict = judge(measured, figure, Kind::Culvert);
            let ratio = verdict.ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
            let met = match verdict.met {
                Some(true) => "met",
                Some(false) => "**missed**",
                None => "",
            };
            let target = show_target(figure);
            let _ = writeln!(text, "| {} | {} | {ratio} | {target} | {met} |", figure.what, medians.join(" | "));
        }
    }
    if let Some(sockets) = findings.fewer_sockets() {
        let _ = writeln!(text, "\nThe limit on descriptors allowed {sockets} idle sockets here.");
    }
    text
}

fn sizes_table(findings: &Findings) -> String {
    let Some((_, first)) = findings.sizes.first() else { return String::new() };
    let mut text = "\n## CPU by message size\n\n".to_owned();
    let _ = writeln!(text, "CPU time per round trip in µs, {} sockets, as fast as the echoes come.\n", sizes::SOCKETS);
    text.push_str(&format!("![CPU against message size]({})\n\n", "../docs/pictures/bench-cpu.svg"));
    let head: Vec<String> = first.iter().map(|(bytes, _)| show_bytes(*bytes)).collect();
    let _ = writeln!(text, "| | {} |\n|---|{}", head.join(" | "), "---|".repeat(head.len()));
    for (kind, points) in &findings.sizes {
        let costs: Vec<String> = points.iter().map(|(_, cost)| format!("{cost:.1}")).collect();
        let _ = writeln!(text, "| {} | {} |", kind.title(), costs.join(" | "));
    }
    text
}

fn growth_table(courses: &[Course]) -> String {
    let Some(first) = courses.first() else { return String::new() };
    let mut text = "\n## How cost grows\n\n".to_owned();
    let _ = writeln!(
        text,
        "Memory that the tunnels add, and CPU time of a second in which each tunnel carries {} message of 32 bytes and its\n\
         echo. The line goes through the origin, and *off* is how far the worst point is from it. The CPU time of a message\n\
         falls with their number, since one wake-up then serves several.\n",
        growth::MESSAGES_PER_SECOND
    );
    text.push_str("![Memory against number of sockets](../docs/pictures/bench-memory.svg)\n\n");
    let head: Vec<String> = first.points.iter().map(|point| point.tunnels.to_string()).collect();
    let dashes = "---|".repeat(head.len());
    let _ = writeln!(
        text,
        "| memory in MB at … tunnels | {} | per tunnel | off |\n|---|{dashes}---|---|",
        head.join(" | ")
    );
    for course in courses {
        let values: Vec<String> = course.points.iter().map(|point| format!("{:.1}", point.memory)).collect();
        let line = course.memory_line();
        let (slope, off) = (line.slope, line.deviation * 100.0);
        let _ = writeln!(text, "| {} | {} | {slope:.2} KB | {off:.1} % |", name(course), values.join(" | "));
    }
    let _ = writeln!(
        text,
        "\n| CPU in ms at … tunnels | {} | per message | off |\n|---|{dashes}---|---|",
        head.join(" | ")
    );
    for course in courses {
        let values: Vec<String> = course.points.iter().map(|point| format!("{:.1}", point.cpu)).collect();
        let line = course.cpu_line();
        let (slope, off) = (line.slope, line.deviation * 100.0);
        let _ = writeln!(text, "| {} | {} | {slope:.1} µs | {off:.1} % |", name(course), values.join(" | "));
    }
    text
}

fn name(course: &Course) -> String {
    match course.workers {
        1 => format!("{}, one worker", course.kind.title()),
        2 => format!("{}, two workers", course.kind.title()),
        more => format!("{}, {more} workers", course.kind.title()),
    }
}

fn syscalls_table(findings: &Findings) -> String {
    if findings.syscalls.is_empty() {
        return String::new();
    }
    let mut text =
        "\n## System calls\n\nPer 32-byte round trip, counted by strace. Where several sockets are busy, one \
                    wait yields several events.\n\n| | sockets | all | which |\n|---|---|---|---|\n"
            .to_owned();
    for (kind, counts) in &findings.syscalls {
        for ((sockets, _), counted) in syscalls::LOADS.iter().zip(counts) {
            let total: f64 = counted.values().sum();
            let _ = writeln!(text, "| {} | {sockets} | {total:.2} | {} |", kind.title(), syscalls::show(counted));
        }
    }
    text
}

fn instructions_table(findings: &Findings) -> String {
    if findings.instructions.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "\n## Instructions\n\nIn user space per 32-byte round trip with {} sockets, counted by callgrind as the difference \
         of two\nruns of different lengths. Valgrind can't run Caddy.\n\n| | instructions |\n|---|---|\n",
        instructions::SOCKETS
    );
    for (kind, each) in &findings.instructions {
        let _ = writeln!(text, "| {} | {each:.0} |", kind.title());
    }
    text
}

fn kernel_table(kernel: &Kernel) -> String {
    let mut text = format!(
        "\n## The kernel's part\n\nWhat {} idle tunnels add to the kernel's own memory, per socket: {SOCKETS_PER_TUNNEL} \
         sockets for each tunnel, since client\nand server are on this machine too. {:.0} bytes of slabs \
         (`/proc/slabinfo`, less the\nsockets in TIME_WAIT) and {:.0} bytes of buffers (`TCP: … mem` in \
         `/proc/net/sockstat`).\n",
        kernel.tunnels, kernel.slab_bytes, kernel.buffer_bytes
    );
    if !kernel.caches.is_empty() {
        text.push_str("\nThe kernel keeps kinds of objects of like size in one cache, under one of their names.\n");
        text.push_str("\n| cache (`/proc/slabinfo`) | bytes of an object | objects per socket |\n|---|---|---|\n");
        for cache in &kernel.caches {
            let _ = writeln!(text, "| {} | {} | {:.2} |", cache.name, cache.object_bytes, cache.per_socket);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readmes_table_is_replaced_and_nothing_else() {
        let text = "before\n<!-- figures -->\n| old |\n<!-- /figures -->\nafter\n";
        let replaced = between_marks(text, "| new |\n").expect("the marks are there");
        assert_eq!(replaced, "before\n<!-- figures -->\n| new |\n<!-- /figures -->\nafter\n");
        assert_eq!(between_marks("no marks", ""), None);
    }
}
