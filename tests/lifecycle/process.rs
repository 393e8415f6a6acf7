//! What the configuration asks for the process: where it is, how nice it is, where its threads run.

use super::*;
use std::fs;

/// The threads of the gateway that serve connections, by their names, with what `/proc` says of each in `file`.
fn workers(world: &mut World, file: &str) -> Vec<(String, String)> {
    let tasks = format!("/proc/{}/task", world.gateway().pid());
    let read = |path: std::path::PathBuf, file: &str| fs::read_to_string(path.join(file)).unwrap_or_default();
    let mut found = Vec::new();
    for task in fs::read_dir(tasks).expect("Linux says it").map(|task| task.expect("a thread").path()) {
        let name = read(task.clone(), "comm").trim().to_owned();
        if name.starts_with("worker-") {
            found.push((name, read(task, file)));
        }
    }
    found.sort();
    found
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.expect("the field is there").trim().to_owned()
}

const SITE: &str = "http { access_log off; server { listen {address}:8080; return 204; } }";

#[test]
fn each_worker_thread_runs_where_its_mask_says() {
    let mut world = world!(&format!("worker_processes 3; worker_cpu_affinity 1 1 01; {SITE}"));
    Deadline::default().until("all threads to be on the first CPU", || {
        let workers = workers(&mut world, "status");
        let is_bound = |(_, status): &(String, String)| field(status, "Cpus_allowed_list:") == "0";
        (workers.len() == 3 && workers.iter().all(is_bound)).then_some(())
    });
    let mut world = world!(&format!("worker_processes 2; worker_cpu_affinity auto; {SITE}"));
    Deadline::default().until("one CPU for each thread", || {
        let workers = workers(&mut world, "status");
        let is_bound = |(_, status): &(String, String)| field(status, "Cpus_allowed_list:").parse::<u32>().is_ok();
        (workers.len() == 2 && workers.iter().all(is_bound)).then_some(())
    });
}

#[test]
fn the_gateway_is_as_nice_as_it_is_asked_to_be() {
    let mut world = world!(&format!("worker_priority 7; {SITE}"));
    assert_eq!(world.get("/").status(), 204);
    for (name, stat) in workers(&mut world, "stat") {
        // The nineteenth field, of which the second is a name in parentheses.
        let (_, rest) = stat.rsplit_once(')').expect("the name is in parentheses");
        assert_eq!(rest.split_whitespace().nth(16), Some("7"), "{name}");
    }
}

#[test]
fn the_gateway_works_where_it_is_told_to() {
    let place = Place::new();
    fs::create_dir(place.dir().join("crash")).expect("a folder can be made");
    let config = format!("working_directory {{dir}}/crash; worker_rlimit_core 1m; {SITE}");
    let mut world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config);
    let process = format!("/proc/{}", world.gateway().pid());
    assert_eq!(fs::read_link(format!("{process}/cwd")).expect("Linux says it"), world.dir().join("crash"));
    let limits = fs::read_to_string(format!("{process}/limits")).expect("Linux says it");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert!(core.contains("1048576"), "{core}");
}

#[test]
fn a_directory_that_is_not_there_is_told_of() {
    let place = Place::new();
    let config = format!("working_directory {{dir}}/nowhere; {SITE}");
    let program = World::program(env!("CARGO_BIN_EXE_culvert"));
    let refusal = Gateway::try_start(&program, &place, &config).expect_err("it can't start there");
    assert!(refusal.stderr.contains("[emerg] chdir(\""), "{}", refusal.stderr);
    assert!(refusal.stderr.contains("nowhere\") failed (2: No such file or directory)"), "{}", refusal.stderr);
}
