//! Any bytes as a configuration file: it loads, or every error has a place and can be shown.
#![no_main]

use culvert_conf::{Options, load};
use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tempfile::TempDir;

/// What nginx says without a place as well.
const PLACELESS: [&str; 1] = ["no \"events\" section in configuration"];

/// A file system in memory, where there is one.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a directory for the file")
    });
    directory.path()
}

fn options(file: PathBuf) -> Options {
    let (prefix, program) = (directory().to_path_buf(), "culvert".to_owned());
    Options { file, prefix, globals: None, error_log: None, is_root: true, program }
}

fuzz_target!(|input: &[u8]| {
    let file = directory().join("nginx.conf");
    std::fs::write(&file, input).expect("the directory can be written to");
    match load(&options(file)) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                warning.render_terminal(&loaded.sources, "culvert", true);
            }
        }
        Err(report) => {
            assert!(!report.diagnostics.is_empty(), "refused without a reason");
            for found in &report.diagnostics {
                let is_placeless = PLACELESS.iter().any(|known| found.message.contains(known));
                assert!(found.place.is_some() || is_placeless, "an error without a place: {found}");
                assert!(!found.message.contains('\n') || input.contains(&b'\n'), "a message of several lines: {found}");
            }
            report.render_terminal("culvert", true);
        }
    }
});
