//! Golden tests of the language. Each file in `golden/` is about one directive and holds cases:
//!
//! ```text
//! ### title [context]
//! directives
//! ```
//!
//! The context says which blocks stand around the directives; without one they are the file. `#? key` looks a key up in
//! the first map, `#@ /uri` finds the location of a URI in the first server. The `.txt` beside a file says for each
//! case either what the configuration says beyond nginx's defaults, or the messages. `UPDATE_GOLDEN=1` writes the
//! `.txt` files anew.

mod outline;

use culvert_conf::{Config, Loaded, Options, Report, load};
use culvert_engine::route::Choice;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_golden_case_still_reads_the_same() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut differing = Vec::new();
    for file in conf_files(&folder) {
        let got = answers(&fs::read_to_string(&file).expect("a golden file is text"));
        let expected = file.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&expected, &got).expect("the golden folder is writable");
        } else if fs::read_to_string(&expected).unwrap_or_default() != got {
            differing.push(format!("{}\n{got}", file.display()));
        }
    }
    assert!(differing.is_empty(), "these differ (UPDATE_GOLDEN=1 accepts them):\n{}", differing.join("\n"));
}

fn conf_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the golden folder exists");
    let paths = entries.map(|entry| entry.expect("a readable entry").path());
    let mut files: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|found| found == "conf")).collect();
    files.sort();
    files
}

fn answers(text: &str) -> String {
    let mut out = String::new();
    for case in text.split("### ").skip(1) {
        let (title, body) = case.split_once('\n').expect("a case has a body");
        let context = title.rsplit_once('[').map_or("", |(_, context)| context.trim_end_matches(']'));
        let _ = write!(out, "### {title}\n{}", answer(context, &spelt_out(body)));
    }
    out
}

/// What would be too long to write down.
fn spelt_out(body: &str) -> String {
    body.replace("LONG", &"x".repeat(5000)).replace("DEEP", &"location / {\n".repeat(5000))
}

fn answer(context: &str, body: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary directory");
    lay_out(folder.path());
    let (before, after) = match context {
        "" | "main" => ("", ""),
        "events" => ("events { ", " }"),
        "server" => ("server { ", " }"),
        "location" => ("server { location / { ", " } }"),
        "upstream" => ("upstream u { ", " }"),
        other => panic!("unknown context {other}"),
    };
    let out = match load_text(folder.path(), &format!("{before}{}\n{after}", body.trim_end())) {
        Err(report) => report.to_string() + &suggestions(&report),
        Ok(loaded) => {
            let plain = load_text(folder.path(), PLAIN).expect("a plain configuration is fine");
            let warnings: String = loaded.warnings.iter().map(|warning| format!("{warning}\n")).collect();
            warnings + &outline::outline(&plain.config, &loaded.config) + &look_ups(body, &loaded.config)
        }
    };
    out.replace(&*folder.path().to_string_lossy(), "DIR")
}

/// What need not be said.
const PLAIN: &str = "upstream u { server 127.0.0.1; } server { location / { } }";

fn suggestions(report: &Report) -> String {
    report
        .diagnostics
        .iter()
        .filter_map(|found| found.suggestion.as_ref())
        .map(|hint| format!("    {hint}\n"))
        .collect()
}

fn load_text(folder: &Path, text: &str) -> Result<Loaded, Report> {
    let file = folder.join("nginx.conf");
    fs::write(&file, text).expect("a writable directory");
    load(&Options {
        file,
        prefix: "/prefix/".into(),
        globals: None,
        error_log: None,
        is_root: true,
        program: "culvert".into(),
    })
}

/// The files that cases include.
fn lay_out(folder: &Path) {
    let files = [
        ("one.inc", "client_max_body_size 3m;\n"),
        ("conf.d/a.inc", "add_header A a;\n"),
        ("conf.d/b.inc", "add_header B b;\n"),
        ("loop.inc", "include loop.inc;\n"),
        ("bad.inc", "\nclient_max_body_size x;\n"),
        ("brace.inc", "add_header A a;\n}\n"),
        ("map.inc", "a 1;\nb 2;\n"),
        ("keys.txt", "0123456789abcdef0123456789abcdef\nfedcba9876543210fedcba9876543210\n"),
        ("empty.txt", "\n"),
        ("short.txt", "too short\n"),
    ];
    fs::create_dir(folder.join("conf.d")).expect("a writable directory");
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("a writable directory");
    }
}

fn look_ups(body: &str, config: &Config) -> String {
    let mut out = String::new();
    for line in body.lines().map(str::trim) {
        if let Some(key) = line.strip_prefix("#?") {
            let _ = writeln!(out, "{} -> {}", line, look_up(config, key.trim()));
        } else if let Some(uri) = line.strip_prefix("#@") {
            let _ = writeln!(out, "{} -> {}", line, find(config, uri.trim()));
        }
    }
    out
}

fn look_up(config: &Config, key: &str) -> String {
    let found = config.http.maps[0].table.lookup(key.as_bytes()).expect("no pattern here backtracks");
    let Some(found) = found else { return "nothing".into() };
    format!("{}, assigns {:?}", outline::compact(found.value), found.assigns)
}

fn find(config: &Config, uri: &str) -> String {
    let server = &config.http.servers[0];
    match server.tree.find(uri.as_bytes()).expect("no pattern here backtracks") {
        Choice::Server => "the server itself".into(),
        Choice::Location { id, .. } => format!("location {}", server.locations[id].name),
        Choice::AddSlash { id } => format!("a redirect to location {}", server.locations[id].name),
    }
}
