//! Every file under `examples/` is a configuration that starts as it stands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use culvert_testkit::{Deadline, Place, Process, Signal, own_network, run};

const BINARY: &str = env!("CARGO_BIN_EXE_culvert");

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = std::fs::read_dir(&folder).expect("the project has examples");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    files
}

/// Culvert on an example, in a prefix with a place for its logs.
fn command(place: &Place, example: &Path) -> Command {
    place.write("logs/.keep", "");
    let mut command = Command::new(BINARY);
    command.arg("-p").arg(place.dir()).arg("-c").arg(example);
    command
}

#[test]
fn every_example_passes_the_test() {
    for example in examples() {
        let place = Place::new();
        let finished = run(command(&place, &example).arg("-t"), Deadline::default());
        assert!(finished.status.success(), "{}: {}", example.display(), finished.stderr);
        let lines = finished.stderr.lines().count();
        assert_eq!(lines, 2, "{} warns: {}", example.display(), finished.stderr);
    }
}

#[test]
fn every_example_starts_and_stops() {
    let Some(_network) = own_network!() else { return };
    for example in examples() {
        let place = Place::new();
        let mut command = command(&place, &example);
        command.args(["-g", "daemon off; pid gateway.pid;"]);
        let mut process = Process::start(&command, place.dir(), "gateway");
        Deadline::default().until("the pid file", || {
            let exit = process.exited();
            assert!(exit.is_none(), "{}: {exit:?} {}", example.display(), process.stderr());
            place.read("gateway.pid").ends_with('\n').then_some(())
        });
        process.signal(Signal::SIGQUIT);
        let exit = process.wait_exit(Deadline::after(Duration::from_secs(5)));
        assert_eq!(exit.code(), Some(0), "{}: {}", example.display(), process.stderr());
    }
}
