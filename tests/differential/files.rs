//! What lies on the disk before a gateway starts: the lines of `== files`.

use crate::case::unescape;
use culvert_testkit::Place;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

/// When everything was changed that says nothing else: the same in every run, so that entity tags are.
const CHANGED_AT: u64 = 1_600_000_000;

/// One line.
struct Line<'a> {
    path: String,
    mode: Option<u32>,
    time: u64,
    is_gzip: bool,
    what: &'a str,
}

/// Makes what `lines` say in the test's directory.
pub(crate) fn write(place: &Place, lines: &[String]) {
    let lines: Vec<Line<'_>> = lines.iter().filter(|line| !line.is_empty()).map(|line| read(line)).collect();
    lines.iter().for_each(|line| make(place, line));
    // A folder that no line names is as old as the rest, too, or a listing would tell in which second it was made.
    let above = lines.iter().flat_map(|line| Path::new(&line.path).ancestors().skip(1));
    for folder in above.filter(|folder| !folder.as_os_str().is_empty()) {
        let folder = File::open(place.path(&folder.to_string_lossy())).expect("it was made before");
        folder.set_modified(UNIX_EPOCH + Duration::from_secs(CHANGED_AT)).expect("it is ours");
    }
    // Whatever is made in a folder changes its time, and what can't be entered can't be filled.
    for line in lines.iter().rev() {
        let path = place.path(&line.path);
        if line.what == "|" || line.what.starts_with("-> ") {
            let time = format!("--date=@{}", line.time);
            let touched = Command::new("touch").args(["--no-dereference", &time]).arg(&path).status();
            assert!(touched.expect("touch").success());
            continue;
        }
        let file = File::open(&path).expect("it was made before");
        file.set_modified(UNIX_EPOCH + Duration::from_secs(line.time)).expect("it is ours");
        if let Some(mode) = line.mode {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("it is ours");
        }
    }
}

fn read(text: &str) -> Line<'_> {
    let (path, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let path = String::from_utf8(bytes(path)).expect("a path is a text");
    let mut line = Line { path, mode: None, time: CHANGED_AT, is_gzip: false, what: "" };
    loop {
        let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
        match word.split_once('=') {
            Some(("mode", mode)) => line.mode = Some(u32::from_str_radix(mode, 8).expect("a mode is octal")),
            Some(("time", time)) => line.time = time.parse().expect("a time in seconds"),
            Some(("coding", "gzip")) => line.is_gzip = true,
            _ => break,
        }
        rest = behind;
    }
    line.what = rest;
    line
}

fn make(place: &Place, line: &Line<'_>) {
    let path = place.path(&line.path);
    let above = path.parent().expect("it lies in the test's directory");
    fs::create_dir_all(above).expect("a folder in the test's directory");
    if line.path.ends_with('/') {
        fs::create_dir_all(&path).expect("a folder in the test's directory");
    } else if line.what == "|" {
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    } else if let Some(target) = line.what.strip_prefix("-> ") {
        symlink(Path::new(&place.fill(target)), &path).expect("a link in the test's directory");
    } else {
        let bytes = bytes(line.what);
        let bytes = if line.is_gzip { gzip(&bytes) } else { bytes };
        fs::write(&path, bytes).expect("a file in the test's directory");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

/// The text without the line end that a client would send.
fn bytes(text: &str) -> Vec<u8> {
    let mut bytes = unescape(text);
    if bytes.ends_with(b"\r\n") && !text.ends_with("\\r\\n") {
        bytes.truncate(bytes.len() - 2);
    }
    bytes
}
