//! Folders that can't be written to, files that can't be read, and expressions that run away.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_folder_that_can_not_be_written_to_fails_the_upload_alone() {
    let world = site("client_body_in_file_only clean; client_body_temp_path {dir}/bodies;");
    let folder = world.dir().join("bodies");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o0)).expect("the folder was made");
    let mut client = Client::connect(world.at(8080));
    client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(client.response().status(), 500);
    let line = world.error_log_shows("failed (13: Permission denied)");
    assert!(line.contains("[crit]"), "{line}");
    is_unharmed(&world);
}

#[test]
fn a_full_disk_fails_the_upload_alone_and_is_told_of() {
    let world = world!(
        "server {
             listen {address}:8080;
             client_max_body_size 0;
             location / { return 200 'fine'; }
             location /up {
                 client_body_in_file_only clean;
                 client_body_temp_path {dir}/small;
                 proxy_pass http://{address}:9001;
             }
         }"
    );
    let folder = world.dir().join("small");
    let Some(_mounted) = Small::mount(&folder) else {
        eprintln!("skipped: nothing can be mounted here");
        return;
    };
    let mut client = Client::connect(world.at(8080));
    client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 1 << 20));
    // The gateway answers while the body still comes, and closes.
    client.try_send(vec![b'x'; 1 << 20]);
    let answer = client.wire().take_rest().unwrap_or_default();
    assert!(answer.starts_with(b"HTTP/1.1 500 "), "{}", String::from_utf8_lossy(&answer));
    let line = world.error_log_shows("failed (28: No space left on device)");
    assert!(line.contains("[crit]"), "{line}");
    let left = fs::read_dir(&folder).expect("the folder is there").count();
    assert_eq!(left, 0, "what was written is removed");
    is_unharmed(&world);
}

/// A file system of 64 KiB.
struct Small<'a>(&'a std::path::Path);

impl Small<'_> {
    fn mount(folder: &std::path::Path) -> Option<Small<'_>> {
        fs::create_dir_all(folder).expect("a writable directory");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k,mode=0777", "small"]).arg(folder);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Small(folder))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.0.display());
    }
}

#[test]
fn an_expression_that_runs_away_ends_in_500_and_a_line() {
    let world = world!(
        "server {
             listen {address}:8080;
             location / { return 200 'fine'; }
             location /x { rewrite '^/x(a|aa|aaa)+(?!b)$' /found; return 204; }
         }"
    );
    let began = Instant::now();
    assert_eq!(world.get(&format!("/x{}b", "a".repeat(60))).status(), 500);
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    world.error_log_shows("pcre2_match() failed: -47 on \"/xaaa");
    is_unharmed(&world);
}
