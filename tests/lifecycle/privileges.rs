//! What root gives up, and what it keeps for a reload.

use super::*;

/// Whether this test may start a gateway as root; without that there is nothing to give up.
fn is_root() -> bool {
    let finished = run(Command::new("id").arg("-u"), Deadline::default());
    finished.stdout.trim() == "0"
}

/// A directory that only root may write to, made in the place.
fn roots_own(place: &Place) {
    place.write("private/.keep", "");
    let closed = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(place.path("private"), closed).expect("the directory is ours");
}

fn privileged(ports: &[u16]) -> String {
    let listens: String = ports.iter().map(|port| format!("listen {{address}}:{port}; ")).collect();
    format!(
        "user nobody nogroup; worker_processes 2; error_log {{dir}}/private/error.log info;
         http {{
             access_log {{dir}}/private/access.log;
             server {{
                 {listens} listen {{address}}:8080;
                 location / {{ return 200 'on {ports:?}'; }}
                 location /sock {{ proxy_pass http://unix:{{dir}}/private/root.sock; }}
             }}
         }}"
    )
}

#[test]
fn workers_run_as_the_configured_user() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    roots_own(&place);
    let mut world = World::start_in(place, BINARY, &privileged(&[80]));
    let nobody = run(Command::new("id").args(["-u", "nobody"]), Deadline::default()).stdout.trim().to_owned();
    let users = users_of_workers(world.gateway());
    assert!(!users.is_empty() && users.iter().all(|user| *user == nobody), "{users:?} are not all {nobody}");
}

/// The effective user of every thread but the first one of the process that was started.
fn users_of_workers(gateway: &mut Gateway) -> Vec<String> {
    let first = gateway.pid();
    let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
    let processes = std::iter::once(first.to_string()).chain(children.split_whitespace().map(str::to_owned));
    let tasks =
        processes.flat_map(|pid| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten());
    tasks
        .filter(|task| task.file_name() != first.to_string().as_str())
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .filter_map(|status| {
            let line = status.lines().find(|line| line.starts_with("Uid:"))?;
            line.split_whitespace().nth(2).map(str::to_owned)
        })
        .collect()
}

#[test]
fn a_worker_cannot_reach_what_only_root_may() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    roots_own(&place);
    let socket = place.path("private/root.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("the name is free");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).expect("the socket is ours");
    let world = World::start_in(place, BINARY, &privileged(&[80]));
    assert_eq!(world.get("/sock").status(), 502);
    let log = || world.place().read("private/error.log").contains("(13: Permission denied)").then_some(());
    Deadline::default().until("the denial in the log", log);
}

#[test]
fn a_reload_still_binds_privileged_ports_and_reopens_roots_logs() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    roots_own(&place);
    let world = World::start_in(place, BINARY, &privileged(&[80]));
    assert_eq!(Client::connect(world.at(80)).get("/").text(), "on [80]");
    world.reload_until(&privileged(&[80, 81]), "/", "on [80, 81]");
    assert_eq!(Client::connect(world.at(81)).get("/").text(), "on [80, 81]");
    let log = world.dir().join("private/access.log");
    std::fs::rename(&log, world.dir().join("private/access.log.1")).expect("the log is there");
    signal(&world, Signal::SIGUSR1);
    Deadline::default().until("a new log file", || log.exists().then_some(()));
    world.get("/after");
    Deadline::default().until("the line", || world.place().read("private/access.log").contains("/after").then_some(()));
}

#[test]
fn an_unknown_user_ends_the_start() {
    if !is_root() {
        return;
    }
    let finished = runs(&Place::new(), &format!("user nosuchuser;\n{WHOLE}"), &["-t"]);
    assert!(finished.stderr.contains("getpwnam(\"nosuchuser\") failed"), "{}", finished.stderr);
    assert_eq!(finished.status.code(), Some(1));
}
