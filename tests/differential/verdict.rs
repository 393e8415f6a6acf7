//! What `-t` says about a configuration.

use crate::observe::Observation;
use culvert_testkit::{Place, Program};
use std::process::Command;

/// Gives the warnings, the first error and whether the configuration is good.
pub(crate) fn verdict(program: &Program, place: &Place, config: &[u8]) -> Observation {
    let config = match std::str::from_utf8(config) {
        Ok(text) => place.fill(text).into_bytes(),
        Err(_) => config.to_vec(),
    };
    let path = place.write("gateway.conf", config);
    std::fs::create_dir_all(place.path("logs")).expect("a folder in the test's directory");
    let mut command = Command::new(program.path());
    command.args(["-t", "-p"]).arg(place.dir()).arg("-c").arg(&path);
    if *program == Program::Nginx {
        command.args(["-e", "stderr"]);
    }
    let output = command.output().expect("the program is there");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut lines: Vec<String> = messages(&said, &["warn"]).collect();
    // Culvert tells all warnings, nginx those before the error.
    match messages(&said, &["emerg", "alert", "crit", "error"]).next() {
        Some(error) => lines = vec![error],
        None => lines.sort(),
    }
    lines.push(if output.status.success() { "it is good" } else { "it is refused" }.to_owned());
    let hide = |line: String| {
        let line = without_place(&line)
            .replace(&path.display().to_string(), "FILE")
            .replace(&place.dir().display().to_string(), "DIR");
        line.replace(&place.address().to_string(), "ADDRESS")
    };
    Observation { lines: lines.into_iter().map(hide).collect(), complaints: said }
}

/// The messages of some levels, from the level on, without the process that said them.
fn messages(said: &str, levels: &[&str]) -> impl Iterator<Item = String> {
    said.lines().filter_map(move |line| {
        let (_, behind) = line.split_once('[')?;
        let (level, text) = behind.split_once("] ")?;
        let text = match text.split_once(": ") {
            Some((process, text)) if process.contains('#') => text,
            _ => text,
        };
        levels.contains(&level).then(|| format!("[{level}] {text}"))
    })
}

/// Culvert says where an unknown variable stands; nginx does not.
fn without_place(line: &str) -> &str {
    match line.split_once(" variable in ") {
        Some((message, _)) if message.starts_with("[emerg] unknown ") => &line[..message.len() + " variable".len()],
        _ => line,
    }
}
