//! Reloads that change the number of workers, and what reloads leave behind.

use super::*;

#[test]
fn forty_reloads_leave_no_descriptor_and_no_thread_behind() {
    let mut world = world!(&site("worker_processes 2;", "version 0"));
    world.reload_until(&site("worker_processes 2;", "warm"), "/", "warm");
    let counts = |world: &mut World| (world.gateway().descriptors(), world.gateway().threads());
    let before = counts(&mut world);
    for version in 1..=40 {
        let text = format!("version {version}");
        world.reload_until(&site("worker_processes 2;", &text), "/", &text);
    }
    Deadline::default().until("the counts of the beginning", || (counts(&mut world) <= before).then_some(()));
}

#[test]
fn a_reload_may_change_the_number_of_workers() {
    let world = world!(&site("worker_processes 1;", "1"));
    let server = Server::bind(world.at(9001));
    let mut tunnels = vec![server.upgrade(world.at(8080), "/chat")];
    for workers in [3, 2, 4, 1] {
        let text = format!("{workers} workers");
        world.reload_until(&site(&format!("worker_processes {workers};"), &text), "/", &text);
        tunnels.push(server.upgrade(world.at(8080), "/chat"));
        for (client, upstream) in &mut tunnels {
            client.says(&Frame::text(&text));
            upstream.hears_text(&text);
        }
        for _ in 0..20 {
            assert_eq!(world.get("/").status(), 200);
        }
    }
}

#[test]
fn the_tunnels_of_workers_that_a_reload_dismisses_live_on() {
    let mut world = world!(&site("worker_processes 4;", "four"));
    let server = Server::bind(world.at(9001));
    let mut tunnels: Vec<_> = (0..20).map(|_| server.upgrade(world.at(8080), "/chat")).collect();
    world.reload_until(&site("worker_processes 1;", "one"), "/", "one");
    for (client, upstream) in &mut tunnels {
        client.says(&Frame::text("still here"));
        upstream.hears_text("still here");
    }
    // A graceful stop waits for them, too, and their ends are logged.
    world.gateway().signal(Signal::SIGQUIT);
    wait_until_refused(&world, 8080);
    for (client, upstream) in &mut tunnels {
        upstream.says(&Frame::text("still there"));
        client.hears_text("still there");
    }
    drop(tunnels);
    assert_eq!(world.waits_for_the_end(SOON).code(), Some(0));
    assert_eq!(world.place().read("access.log").matches("/chat HTTP/1.1\" 101").count(), 20);
}

#[test]
fn no_connection_is_lost_while_workers_come_and_go() {
    let world = world!(&site("worker_processes 1;", "0"));
    let (done, lost) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    // Not so many that the ports of a minute run out.
                    thread::sleep(Duration::from_millis(1));
                    let Ok(mut client) = Client::try_connect(&world.at(8080).into(), None) else {
                        lost.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    client.try_send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
                    if !client.wire().take_rest().is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200 ")) {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let _end = OnDrop(|| done.store(true, Ordering::Relaxed));
        for workers in [3, 1, 4, 2, 1, 2] {
            let text = format!("{workers} workers");
            world.reload_until(&site(&format!("worker_processes {workers};"), &text), "/", &text);
        }
    });
    assert_eq!(lost.into_inner(), 0, "connections were lost");
}

#[test]
fn workers_that_a_reload_adds_share_a_unix_socket() {
    let config = |workers: usize| {
        format!(
            "worker_processes {workers};
             http {{ access_log off; server {{ listen unix:{{dir}}/s.sock; listen {{address}}:8080; return 200 '{workers} workers'; }} }}"
        )
    };
    let world = world!(&config(1));
    for workers in [3, 1, 2] {
        let text = format!("{workers} workers");
        world.reload_until(&config(workers), "/", &text);
        for _ in 0..10 {
            let answer = Client::connect(world.dir().join("s.sock")).get("/").text();
            assert_eq!(answer, text);
        }
    }
}
