//! What must hold for every row.

use super::*;
use crate::directives::{MODULES, no_effect, unsupported};
use crate::{Options, load};
use std::collections::HashSet;
use std::path::Path;

fn rows() -> impl Iterator<Item = &'static Row> {
    MODULES.iter().flat_map(|module| module.rows)
}

#[test]
fn every_directive_is_documented_in_sentences() {
    for row in rows() {
        assert!(row.doc.ends_with('.'), "{}: {:?}", row.name, row.doc);
        assert!(!row.doc.contains("  "), "{}: {:?}", row.name, row.doc);
    }
    for row in no_effect::ROWS {
        assert!(row.why.ends_with('.'), "{}: {:?}", row.name, row.why);
    }
}

#[test]
fn no_name_stands_in_two_tables() {
    let working: HashSet<&str> = rows().map(|row| row.name).collect();
    let mut others = HashSet::new();
    let refused = unsupported::GROUPS.iter().flat_map(|group| group.names).copied();
    for name in no_effect::ROWS.iter().map(|row| row.name).chain(refused) {
        assert!(!working.contains(name), "{name} works and is refused or without effect");
        assert!(others.insert(name), "{name} stands twice");
    }
    for (name, _) in unsupported::NEUTRAL {
        assert!(others.contains(name), "{name} has a neutral argument and is not refused");
    }
}

#[test]
fn every_directive_of_nginx_is_known() {
    let index = include_str!("../../tests/nginx/directives.txt");
    let unknown: Vec<&str> = index.lines().filter(|line| !line.starts_with('#') && meaning(line).is_none()).collect();
    assert!(unknown.is_empty(), "neither supported nor refused: {unknown:?}");
}

#[test]
fn two_rows_of_one_name_share_no_context() {
    for (index, row) in rows().enumerate() {
        for other in rows().skip(index + 1).filter(|other| other.name == row.name) {
            assert!(!row.contexts.meets(other.contexts), "{}", row.name);
        }
    }
}

#[test]
fn every_directive_has_a_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for row in rows() {
        assert!(folder.join(format!("{}.conf", row.name)).exists(), "{} has no golden file", row.name);
    }
}

#[test]
fn a_default_that_is_written_changes_nothing() {
    for (row, default) in rows().filter_map(|row| Some((row, row.default?))) {
        let line = format!("{} {default};", row.name);
        let contexts = SAMPLES.iter().filter(|(context, _)| row.contexts.meets(*context));
        let loaded = contexts.filter_map(|(_, sample)| Some((dump(sample, "")?, dump(sample, &line)?)));
        let pairs: Vec<_> = loaded.collect();
        assert!(!pairs.is_empty(), "{line} is refused everywhere");
        for (without, with) in pairs {
            assert_eq!(without, with, "{line}");
        }
    }
}

/// For each kind of block, a configuration with a place for one more line in such a block.
const SAMPLES: [(Contexts, &str); 6] = [
    (Contexts::MAIN, "LINE http { }"),
    (Contexts::EVENTS, "events { LINE }"),
    (Contexts::HTTP, "http { LINE server { location / { } } }"),
    (Contexts::SERVER, "http { server { LINE location / { } } }"),
    (Contexts::LOCATION, "http { server { location / { proxy_pass http://127.0.0.1; LINE } } }"),
    (Contexts::UPSTREAM, "http { upstream u { server 127.0.0.1; LINE } }"),
];

/// The lines of the resulting configuration, sorted, since hash tables print in any order.
fn dump(sample: &str, line: &str) -> Option<Vec<String>> {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, sample.replace("LINE", line)).expect("a writable directory");
    let options = Options {
        file,
        prefix: "/prefix/".into(),
        globals: None,
        error_log: None,
        is_root: true,
        program: "culvert".into(),
    };
    let loaded = load(&options).ok()?;
    let text = format!("{:#?}", loaded.config).replace(&*folder.path().to_string_lossy(), "");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    Some(lines)
}
