//! `cargo xtask corpus FOLDER`: what nginx and Culvert say of a folder of configurations.
//!
//! A configuration is a folder with an `nginx.conf`, or a file `*.conf`. Each is laid out in a fresh directory, which is the
//! prefix of both programs: `@PREFIX@` in any file becomes its path, what is in a folder `prefix` goes to its top, and what a
//! file `made` lists (`PATH<tab>KIND`, of which the kind is `directory`, `certificate`, `key`, `both` or `dhparam`) is made. Files that every
//! distribution puts beside `nginx.conf`, and the directories of everything that is named below the prefix, are made too.

use crate::command::{self, cargo, find};
use crate::root;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const USAGE: &str = "corpus FOLDER [--culvert BINARY] [--nginx BINARY]";

/// What stands beside `nginx.conf` wherever nginx is installed.
const STOCK: [(&str, &str); 4] = [
    ("mime.types", "types { text/html html htm; text/css css; application/javascript js mjs; image/png png; }\n"),
    ("fastcgi_params", "fastcgi_param REQUEST_METHOD $request_method;\n"),
    ("uwsgi_params", "uwsgi_param REQUEST_METHOD $request_method;\n"),
    ("scgi_params", "scgi_param REQUEST_METHOD $request_method;\n"),
];

/// What a program says of a configuration.
struct Verdict {
    is_good: bool,
    /// The first line of an error.
    reason: String,
}

/// How two verdicts compare.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Agree,
    /// Culvert refuses what it does not have, and says so.
    Unsupported,
    /// This nginx does not know a directive or parameter that later ones have.
    OldNginx,
    Disagree,
}

/// Runs the task.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let (mut folder, mut culvert, mut nginx) = (None, None, find("nginx"));
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut path = || words.next().map(PathBuf::from).with_context(|| USAGE.to_owned());
        match word.as_str() {
            "--culvert" => culvert = Some(path()?),
            "--nginx" => nginx = Some(path()?),
            _ if folder.is_none() => folder = Some(PathBuf::from(word)),
            _ => bail!(USAGE),
        }
    }
    let folder = folder.context(USAGE)?;
    let nginx = nginx.context("nginx is not installed; \"cargo xtask setup\" installs it")?;
    let culvert = culvert.map_or_else(build, Ok)?.canonicalize().context("culvert's binary")?;
    let secrets = make_secrets()?;
    let mut counts = [0; 4];
    for case in cases(&folder)? {
        let theirs = judge(&nginx, &case, secrets.path())?;
        let ours = judge(&culvert, &case, secrets.path())?;
        let comparison = compare(&theirs, &ours);
        counts[comparison as usize] += 1;
        tell(&case, comparison, &theirs, &ours);
    }
    let [agree, unsupported, old, disagree] = counts;
    println!("agree {agree}, not supported by Culvert {unsupported}, newer than this nginx {old}, disagree {disagree}");
    if disagree == 0 { Ok(()) } else { bail!("{disagree} configurations are judged differently") }
}

fn build() -> Result<PathBuf> {
    command::run(&mut cargo(&["build", "--quiet", "--package", "culvert"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("debug/culvert"))
}

/// The configurations of a folder, in order.
fn cases(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let is_file = path.is_file() && path.extension().is_some_and(|ending| ending == "conf");
        if is_file || path.join("nginx.conf").is_file() {
            cases.push(path);
        }
    }
    cases.sort();
    Ok(cases)
}

fn judge(program: &Path, case: &Path, secrets: &Path) -> Result<Verdict> {
    let place = TempDir::new()?;
    let prefix = place.path().canonicalize()?;
    lay_out(case, &prefix, secrets).with_context(|| case.display().to_string())?;
    let output = Command::new(program)
        .arg("-t")
        .args(["-p", &format!("{}/", prefix.display())])
        .args(["-c", &prefix.join("nginx.conf").display().to_string()])
        .output()
        .with_context(|| program.display().to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).replace(&*prefix.to_string_lossy(), "PREFIX");
    let is_error = |line: &&str| ["[emerg]", "[alert]", "[crit]", "[error]"].iter().any(|level| line.contains(level));
    let reason = said.lines().find(is_error).unwrap_or_default();
    let reason = reason.split_once("] ").map_or(reason, |(_, message)| message).to_owned();
    Ok(Verdict { is_good: output.status.success(), reason })
}

fn compare(theirs: &Verdict, ours: &Verdict) -> Comparison {
    let newer = ["unknown directive", "invalid parameter", "unknown \""];
    match (theirs.is_good, ours.is_good) {
        (true, true) | (false, false) => Comparison::Agree,
        (true, false) if ours.reason.contains("not supported by Culvert") => Comparison::Unsupported,
        (false, true) if newer.iter().any(|words| theirs.reason.contains(words)) => Comparison::OldNginx,
        _ => Comparison::Disagree,
    }
}

fn tell(case: &Path, comparison: Comparison, theirs: &Verdict, ours: &Verdict) {
    let name = case.file_name().unwrap_or_default().to_string_lossy();
    let said = |verdict: &Verdict| if verdict.is_good { "is content".to_owned() } else { verdict.reason.clone() };
    let kind = match comparison {
        Comparison::Agree => return,
        Comparison::Unsupported => "not supported",
        Comparison::OldNginx => "newer",
        Comparison::Disagree => "DISAGREE",
    };
    println!("{name}: {kind}\n    nginx:   {}\n    culvert: {}", said(theirs), said(ours));
}

fn lay_out(case: &Path, prefix: &Path, secrets: &Path) -> Result<()> {
    for folder in ["logs", "run", "var/log/nginx", "var/run"] {
        fs::create_dir_all(prefix.join(folder))?;
    }
    if case.is_file() {
        fs::copy(case, prefix.join("nginx.conf"))?;
    } else {
        copy_tree(case, prefix)?;
        copy_tree(&case.join("prefix"), prefix)?;
        make_listed(&case.join("made"), prefix, secrets)?;
    }
    for (name, text) in STOCK {
        if !prefix.join(name).exists() {
            fs::write(prefix.join(name), text)?;
        }
    }
    fill_in(prefix, prefix)?;
    make_directories(prefix)
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

fn make_listed(list: &Path, prefix: &Path, secrets: &Path) -> Result<()> {
    let text = if list.is_file() { fs::read_to_string(list)? } else { String::new() };
    for (path, kind) in text.lines().filter_map(|line| line.split_once('\t')) {
        let path = prefix.join(path);
        if kind == "directory" {
            fs::create_dir_all(path)?;
        } else {
            fs::create_dir_all(path.parent().context("a path has a folder")?)?;
            fs::copy(secrets.join(kind), path).with_context(|| format!("a {kind}"))?;
        }
    }
    Ok(())
}

/// Puts the prefix into every file.
fn fill_in(folder: &Path, prefix: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            fill_in(&path, prefix)?;
        } else if let Ok(text) = fs::read_to_string(&path)
            && text.contains("@PREFIX@")
        {
            // A copy may be read-only, as its original was.
            fs::remove_file(&path)?;
            fs::write(&path, text.replace("@PREFIX@", &prefix.to_string_lossy()))?;
        }
    }
    Ok(())
}

/// Makes the directories of what the configuration names below the prefix: logs, caches, temporary files.
fn make_directories(prefix: &Path) -> Result<()> {
    let text = String::from_utf8_lossy(&fs::read(prefix.join("nginx.conf"))?).into_owned();
    let start = prefix.to_string_lossy();
    for (at, _) in text.match_indices(&*start) {
        let path = text[at..].split(|c: char| c.is_whitespace() || ";'\"$*".contains(c)).next().unwrap_or_default();
        if let Some(folder) = Path::new(path.trim_end_matches('/')).parent().filter(|folder| folder.starts_with(prefix))
        {
            fs::create_dir_all(folder)?;
        }
    }
    Ok(())
}

/// A certificate, its key, both in one file, and parameters for Diffie-Hellman.
fn make_secrets() -> Result<TempDir> {
    let place = TempDir::new()?;
    let path = |name: &str| place.path().join(name).display().to_string();
    let openssl = |words: &[&str]| -> Result<()> {
        let output = Command::new("openssl").args(words).output().context("openssl")?;
        if output.status.success() { Ok(()) } else { bail!("openssl: {}", String::from_utf8_lossy(&output.stderr)) }
    };
    let (key, certificate) = (path("key"), path("certificate"));
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=localhost",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ])?;
    openssl(&["dhparam", "-dsaparam", "-out", &path("dhparam"), "2048"])?;
    fs::write(place.path().join("both"), [fs::read(&certificate)?, fs::read(&key)?].concat())?;
    Ok(place)
}
