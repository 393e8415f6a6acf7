//! The peers' configurations, in `bench/peers`: each says the same in its own language.
//!
//! Words in braces are filled in: `{listen}`. A line that begins with `{if WORD}` or `{unless WORD}` is there only if that
//! holds.

use super::big;
use super::peer::{Kind, Start};
use crate::root;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What is filled in.
pub(super) struct Words<'a> {
    /// Which proxy.
    pub(super) kind: Kind,
    /// The name of its files.
    pub(super) name: String,
    /// Where they lie.
    pub(super) directory: &'a Path,
    /// Where it listens.
    pub(super) listen: SocketAddr,
    /// The server behind it.
    pub(super) backend: SocketAddr,
    /// How it is started.
    pub(super) start: Start,
}

/// Writes a proxy's configuration and says where it lies.
pub(super) fn write(words: &Words<'_>, file: &str) -> Result<PathBuf> {
    let path = root().join("bench/peers").join(file);
    let template = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let written = words.directory.join(format!("{}.{file}", words.name));
    std::fs::write(&written, fill_in(&template, words))?;
    Ok(written)
}

fn fill_in(template: &str, words: &Words<'_>) -> String {
    let holds = |condition: &str| match condition {
        "logged" => words.start.logged,
        "raw" => words.kind == Kind::CulvertRaw,
        "tls" => words.start.tls,
        "streams" => words.start.streams,
        "nginx" => words.kind == Kind::Nginx,
        _ => false,
    };
    let lines = template.lines().filter_map(|line| wanted(line, &holds));
    let text = lines.fold(String::new(), |text, line| text + line + "\n");
    let text = if words.start.big {
        text.replace("{maps}", &big::maps()).replace("{servers}", &big::servers("{listen}"))
    } else {
        text
    };
    text.replace("{name}", &words.name)
        .replace("{directory}", &words.directory.display().to_string())
        .replace("{listen}", &words.listen.to_string())
        .replace("{listen_host}", &words.listen.ip().to_string())
        .replace("{listen_port}", &words.listen.port().to_string())
        .replace("{backend}", &words.backend.to_string())
        .replace("{workers}", &words.start.workers.to_string())
}

/// The line without its condition, if that holds.
fn wanted<'a>(line: &'a str, holds: &impl Fn(&str) -> bool) -> Option<&'a str> {
    let trimmed = line.trim_start();
    let conditions = [("{if ", true), ("{unless ", false)];
    let found = conditions.iter().find_map(|&(word, wanted)| {
        let (condition, rest) = trimmed.strip_prefix(word)?.split_once('}')?;
        Some((holds(condition) == wanted, rest))
    });
    match found {
        Some((there, rest)) => there.then_some(rest),
        None => Some(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_condition_is_there_when_it_holds() {
        let holds = |condition: &str| condition == "logged";
        assert_eq!(wanted("  listen 1;", &holds), Some("  listen 1;"));
        assert_eq!(wanted("  {if logged} log on;", &holds), Some(" log on;"));
        assert_eq!(wanted("  {unless logged} log off;", &holds), None);
        assert_eq!(wanted("{unless raw} x", &holds), Some(" x"));
    }
}
