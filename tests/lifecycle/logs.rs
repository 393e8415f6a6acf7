//! Log files that are moved away.

use super::*;

#[test]
fn usr1_reopens_the_logs_and_loses_no_line() {
    let world = world!(&site("worker_processes 2;", "hello"));
    let log = world.dir().join("access.log");
    let done = AtomicBool::new(false);
    let asked = thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut client = Client::connect(world.at(8080));
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) {
                // A connection is kept for at most 1000 requests.
                if asked % 500 == 499 {
                    client = Client::connect(world.at(8080));
                }
                assert_eq!(client.get("/").status(), 200);
                asked += 1;
            }
            asked
        });
        let end = OnDrop(|| done.store(true, Ordering::Relaxed));
        for turn in 0..5 {
            // Lines go to the new file once it exists, and the old one has some of its own.
            Deadline::default().until("some lines", || lines_of(&log).gt(&0).then_some(()));
            std::fs::rename(&log, world.dir().join(format!("access.log.{turn}"))).expect("the log is there");
            signal(&world, Signal::SIGUSR1);
            Deadline::default().until("a new log file", || log.exists().then_some(()));
        }
        drop(end);
        asking.join().expect("every request was answered")
    });
    let total =
        || (0..5).map(|turn| lines_of(&world.dir().join(format!("access.log.{turn}")))).sum::<usize>() + lines_of(&log);
    Deadline::default().until("all lines", || (total() == asked).then_some(()));
}

fn lines_of(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

#[test]
fn logs_whose_folder_is_gone_are_written_on_where_they_were() {
    let world = world!(&site("worker_processes 1;", "hello"));
    let (folder, moved) = (world.dir().join("logs"), world.dir().join("moved"));
    std::fs::create_dir(&folder).expect("a writable directory");
    let text = "http {
         access_log {dir}/logs/access.log;
         server { listen {address}:8080; location / { return 200 hi; } location = /up { access_log off; return 200 up; } }
     }";
    world.reload_until(text, "/up", "up");
    std::fs::rename(&folder, &moved).expect("the folder is there");
    signal(&world, Signal::SIGUSR1);
    let line = world.error_log_shows("/logs/access.log\" failed (2: No such file or directory)");
    assert!(line.contains("[emerg]"), "{line}");
    assert_eq!(world.get("/").text(), "hi");
    Deadline::default().until("a line", || (lines_of(&moved.join("access.log")) == 1).then_some(()));
    std::fs::create_dir(&folder).expect("a writable directory");
    signal(&world, Signal::SIGUSR1);
    let log = folder.join("access.log");
    Deadline::default().until("a new log file", || log.exists().then_some(()));
    Deadline::default().until("a line in the new log", || {
        assert_eq!(world.get("/").text(), "hi");
        (lines_of(&log) > 0).then_some(())
    });
}
