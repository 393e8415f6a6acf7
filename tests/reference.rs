//! The references under `docs/reference/` are generated from the tables that the program runs on; drift fails here.

use std::path::Path;
use std::process::Command;

/// Compares a file with what would be generated now, and names the first line that differs.
#[track_caller]
fn is_current(file: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference").join(file);
    let written = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if written == generated {
        return;
    }
    let differing = written.lines().zip(generated.lines()).enumerate().find(|(_, (old, new))| old != new);
    let place = match differing {
        Some((number, (old, new))) => format!("line {}:\n  {old}\nwould be\n  {new}", number + 1),
        None => "one of them goes on after the other's end".to_owned(),
    };
    panic!("docs/reference/{file} is not current; run `cargo xtask docs`. {place}");
}

#[test]
fn the_directive_reference_is_current() {
    is_current("directives.md", &culvert_conf::reference_markdown());
}

#[test]
fn the_variable_reference_is_current() {
    is_current("variables.md", &culvert_conf::variables_markdown());
}

#[test]
fn the_comparison_with_nginx_is_current() {
    is_current("nginx.md", &culvert_conf::nginx_markdown());
}

#[test]
fn the_metric_reference_is_current() {
    is_current("metrics.md", &culvert_conf::metrics_markdown());
}

#[test]
fn the_command_line_reference_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/command-line.md");
    let written = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for words in [&["-h"][..], &["echo", "--help"], &["connect", "--help"], &["demo", "--help"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_culvert")).args(words).output().expect("the binary was built");
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        // The version's line is left out of the page, or each release would change it.
        let lines: Vec<&str> = printed.lines().filter(|line| !line.starts_with("culvert version:")).collect();
        let help = lines.join("\n");
        assert!(written.contains(help.trim()), "{words:?} is not current; run `cargo xtask docs`:\n{help}");
    }
}
