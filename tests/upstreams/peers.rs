//! The same failing servers behind nginx, HAProxy and Culvert: what a client sees must be no worse than behind the others.

use super::*;
use culvert_testkit::Process;
use std::process::Command;

/// nginx, HAProxy or Culvert in front of the servers.
enum Front {
    Gateway(Place, #[expect(dead_code, reason = "it runs for as long as it is held")] Gateway),
    HaProxy(Place, #[expect(dead_code, reason = "it runs for as long as it is held")] Process),
}

impl Front {
    fn all(servers: &[SocketAddr]) -> [(&'static str, Front); 3] {
        let lines: Vec<String> = servers.iter().map(ToString::to_string).collect();
        let gateway = |program: Program| {
            let place = Place::new();
            let gateway = Gateway::start(
                &program,
                &place,
                &site_of(&lines, "").replace("$upstream_queue_time", "$upstream_status"),
            );
            Front::Gateway(place, gateway)
        };
        [
            ("nginx", gateway(Program::Nginx)),
            ("haproxy", Front::haproxy(servers)),
            ("culvert", gateway(Program::culvert(env!("CARGO_BIN_EXE_culvert")))),
        ]
    }

    fn haproxy(servers: &[SocketAddr]) -> Front {
        let place = Place::new();
        let at = place.at(8080);
        let lines: String =
            servers.iter().enumerate().map(|(number, at)| format!("    server s{number} {at}\n")).collect();
        let config = format!(
            "defaults\n    mode http\n    timeout connect 1s\n    timeout client 10s\n    timeout server 10s\n    retries 3\n\
             \x20   option redispatch 1\n    retry-on conn-failure empty-response\n\
             frontend front\n    bind {at}\n    default_backend app\nbackend app\n    balance roundrobin\n{lines}"
        );
        let file = place.dir().join("haproxy.cfg");
        std::fs::write(&file, config).expect("the directory is the test's own");
        let mut command = Command::new("/usr/sbin/haproxy");
        command.arg("-db").arg("-f").arg(&file);
        let process = Process::start(&command, place.dir(), "haproxy");
        Deadline::default().until("haproxy", || Client::try_connect(&at.into(), None).ok().map(drop));
        Front::HaProxy(place, process)
    }

    fn at(&self) -> SocketAddr {
        match self {
            Front::Gateway(place, _) | Front::HaProxy(place, _) => place.at(8080),
        }
    }

    fn statuses(&self, count: usize) -> Vec<u16> {
        (0..count).map(|_| Client::connect(self.at()).get("/").status()).collect()
    }
}

#[test]
fn a_server_that_refuses_connections_costs_no_client_anything() {
    let (one, dead) = (Host::new("one"), Place::new());
    for (name, front) in Front::all(&[dead.at(9009), one.at()]) {
        assert_eq!(front.statuses(20), [200; 20], "{name}");
    }
}

#[test]
fn a_server_that_hangs_up_costs_no_client_anything() {
    let (one, place) = (Host::new("one"), Place::new());
    let _rude = Backend::start(place.at(9001), |conversation| drop(conversation.request()));
    for (name, front) in Front::all(&[place.at(9001), one.at()]) {
        assert_eq!(front.statuses(20), [200; 20], "{name}");
    }
}

#[test]
fn with_no_server_left_the_answer_is_an_error_at_once() {
    let dead = Place::new();
    for (name, front) in Front::all(&[dead.at(9009), dead.at(9008)]) {
        let begin = Instant::now();
        // HAProxy has another word for it.
        let wanted = if name == "haproxy" { 503 } else { 502 };
        assert_eq!(front.statuses(3), [wanted; 3], "{name}");
        // HAProxy waits for a second before it tries again.
        assert!(name == "haproxy" || begin.elapsed() < Duration::from_secs(1), "{name} took {:?}", begin.elapsed());
    }
}
