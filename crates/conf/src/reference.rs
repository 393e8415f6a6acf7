//! The references under `docs/`, made from the tables that the program runs on.

use crate::directives::{MODULES, no_effect, unsupported};
use crate::registry::{self, Arity, Meaning, Row};
use culvert_engine::{metric, variable};
use std::collections::HashSet;
use std::fmt::Write;

/// The reference of directives as Markdown.
pub fn reference_markdown() -> String {
    let mut out =
        String::from("# Directives\n\nMade from the program's own tables by `cargo xtask docs`; do not edit.\n");
    for module in MODULES {
        let _ = write!(out, "\n## {}\n", module.name);
        for row in module.rows {
            directive(&mut out, row);
        }
    }
    no_effects(&mut out);
    unsupported_ones(&mut out);
    out
}

fn directive(out: &mut String, row: &Row) {
    let own = if row.own { " (Culvert's own)" } else { "" };
    let _ = write!(out, "\n### `{}`{own}\n\n", row.name);
    let _ = writeln!(out, "- Context: {}", row.contexts.names().join(", "));
    let _ = writeln!(out, "- Arguments: {}", arguments(row));
    if let Some(default) = row.default {
        let _ = writeln!(out, "- Default: `{default}`");
    }
    let _ = write!(out, "\n{}\n", row.doc);
}

fn arguments(row: &Row) -> String {
    let count = match row.args {
        Arity::Flag => "`on` or `off`".to_owned(),
        Arity::Exactly(0) => "none".to_owned(),
        Arity::Exactly(count) => count.to_string(),
        Arity::Between(least, most) => format!("{least} to {most}"),
        Arity::AtLeast(least) => format!("{least} or more"),
    };
    let block = if row.block { ", and a block" } else { "" };
    let repeats = if row.repeats { "; may be repeated" } else { "" };
    format!("{count}{block}{repeats}")
}

fn no_effects(out: &mut String) {
    out.push_str("\n## Accepted without effect\n\nThese can't matter here.\n\n| directive | why |\n|---|---|\n");
    for row in no_effect::ROWS {
        let _ = writeln!(out, "| `{}` | {} |", row.name, row.why);
    }
}

fn unsupported_ones(out: &mut String) {
    out.push_str("\n## Not supported\n\nThese are refused with their place in the file.\n\n");
    for group in unsupported::GROUPS {
        let names: Vec<String> = group.names.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(out, "- {}: {}", group.why, names.join(", "));
    }
    out.push_str(
        "\n## Accepted where they ask for nothing\n\nWith these arguments directives of the lists above are accepted: ",
    );
    let neutral: Vec<String> = unsupported::NEUTRAL.iter().map(|(name, value)| format!("`{name} {value}`")).collect();
    let _ = writeln!(out, "{}.", neutral.join(", "));
}

/// The comparison with nginx as Markdown: all of its directives, those of the commercial edition too, and what each is here.
pub fn nginx_markdown() -> String {
    let mut out = String::from(
        "# nginx's directives, one by one\n\nMade from the program's own tables by `cargo xtask docs`; do not edit.\n\n\
         What a directive that works does, and where it differs, is in the [directive reference](directives.md) and in\n\
         [from-nginx.md](../from-nginx.md). `culvert -t` says the same of a configuration, with file and line.\n\n",
    );
    let rows = MODULES.iter().flat_map(|module| module.rows);
    let own: HashSet<&str> = rows.filter(|row| row.own).map(|row| row.name).collect();
    let mut names: Vec<&str> = registry::names().filter(|name| !own.contains(name)).collect();
    names.sort_unstable();
    let lines: Vec<(&str, &str, String)> = names.into_iter().filter_map(comparison).collect();
    for kind in [WORKS, NO_EFFECT, NEVER] {
        let count = lines.iter().filter(|(_, of, _)| *of == kind).count();
        let _ = writeln!(out, "- {kind}: {count}");
    }
    out.push_str("\n| directive | here | |\n|---|---|---|\n");
    for (name, kind, note) in lines {
        let _ = writeln!(out, "| `{name}` | {kind} | {} |", note.replace('|', "\\|"));
    }
    out
}

const WORKS: &str = "works";
const NO_EFFECT: &str = "accepted without effect";
const NEVER: &str = "not supported";

fn comparison(name: &'static str) -> Option<(&'static str, &'static str, String)> {
    Some(match registry::meaning(name)? {
        Meaning::Works(_) => (name, WORKS, String::new()),
        Meaning::NoEffect(row) => (name, NO_EFFECT, row.why.to_owned()),
        Meaning::Unsupported(group) => {
            let neutral = unsupported::NEUTRAL.iter().find(|(neutral, _)| *neutral == name);
            let except = neutral.map(|(_, value)| format!(" (`{name} {value}` is accepted)")).unwrap_or_default();
            (name, NEVER, format!("{}{except}", group.why))
        }
    })
}

/// The reference of metrics as Markdown.
pub fn metrics_markdown() -> String {
    let mut out = String::from("# Metrics\n\nMade from the program's own tables by `cargo xtask docs`; do not edit.\n");
    out.push_str("\n| metric | kind | labels | value |\n|---|---|---|---|\n");
    for row in metric::TABLE {
        let total = if row.kind == metric::Kind::Counter { "_total" } else { "" };
        let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            out,
            "| `culvert_{}{total}` | {} | {} | {} |",
            row.name,
            row.kind.name(),
            labels.join(", "),
            row.doc
        );
    }
    out
}

/// The reference of variables as Markdown.
pub fn variables_markdown() -> String {
    let mut out =
        String::from("# Variables\n\nMade from the program's own tables by `cargo xtask docs`; do not edit.\n");
    out.push_str("\n| variable | value |\n|---|---|\n");
    for row in variable::TABLE {
        let _ = writeln!(out, "| `${}` | {} |", row.name, row.doc);
    }
    out.push_str("\n## Families\n\n| variables | value |\n|---|---|\n");
    for row in variable::FAMILIES {
        let _ = writeln!(out, "| `${}`*name* | {} |", row.prefix, row.doc);
    }
    out
}
