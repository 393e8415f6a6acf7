//! What a caller of the crate sees besides the configuration itself: messages, sources, options.

use culvert_conf::config::{Level, LogTarget};
use culvert_conf::{Options, Report, load};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use tempfile::TempDir;

fn options(folder: &TempDir, text: impl AsRef<[u8]>) -> Options {
    let file = folder.path().join("nginx.conf");
    fs::write(&file, text).expect("a writable directory");
    Options {
        file,
        prefix: "/prefix/".into(),
        globals: None,
        error_log: None,
        is_root: false,
        program: "culvert".into(),
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn fails(options: &Options) -> Report {
    load(options).expect_err("this configuration is bad")
}

#[test]
fn a_terminal_sees_the_line_the_words_and_a_suggestion() {
    let folder = folder();
    let options = options(&folder, "server {\n\tlocation / {\n\t\tproxy_pas http://a;\n\t}\n}\n");
    let report = fails(&options);
    let shown = report.render_terminal("culvert", false).replace(&*folder.path().to_string_lossy(), "DIR");
    let expected = concat!(
        "culvert: [emerg] unknown directive \"proxy_pas\" in DIR/nginx.conf:3\n",
        "  |\n",
        "3 | \t\tproxy_pas http://a;\n",
        "  | \t\t^^^^^^^^^ did you mean \"proxy_pass\"?\n",
    );
    assert_eq!(shown, expected);
    assert!(report.render_terminal("culvert", true).contains("\u{1b}[1;31m^^^^^^^^^"));
}

#[test]
fn one_line_per_message_is_nginx_form() {
    let folder = folder();
    let report = fails(&options(&folder, "daemon maybe;\nlisten 80;\n"));
    let lines: Vec<String> =
        report.lines().into_iter().map(|line| line.replace(&*folder.path().to_string_lossy(), "DIR")).collect();
    assert_eq!(
        lines,
        [
            "[emerg] invalid value \"maybe\" in \"daemon\" directive, it must be \"on\" or \"off\" in DIR/nginx.conf:1",
            "[emerg] \"listen\" directive is not allowed here in DIR/nginx.conf:2",
        ]
    );
}

#[test]
fn a_missing_main_file_has_no_place() {
    let folder = folder();
    let mut options = options(&folder, "");
    options.file = "/nowhere/nginx.conf".into();
    let lines = fails(&options).lines();
    assert_eq!(lines, ["[emerg] open() \"/nowhere/nginx.conf\" failed (2: No such file or directory)"]);
}

#[test]
fn the_command_line_stands_in_front_of_the_file() {
    let folder = folder();
    let mut options = options(&folder, "worker_processes 3;\n");
    options.globals = Some("daemon off; pid /run/x.pid;".into());
    let loaded = load(&options).expect("a good configuration");
    assert!(!loaded.config.main.daemon);
    assert_eq!(loaded.config.main.worker_processes, Some(3));
    assert_eq!(loaded.sources.len(), 1, "-g is no file");
}

#[test]
fn mistakes_on_the_command_line_are_placed_there() {
    let folder = folder();
    let mut options = options(&folder, "");
    for (globals, message) in [
        ("daemon off", "[emerg] unexpected end of parameter, expecting \";\" in command line"),
        ("nonsense on;", "[emerg] unknown directive \"nonsense\" in command line"),
        ("events { }", "[emerg] block directives are not supported in -g option in command line"),
        ("}", "[emerg] unexpected \"}\" in command line"),
    ] {
        options.globals = Some(globals.into());
        assert_eq!(fails(&options).lines(), [message], "{globals}");
    }
}

#[test]
fn sources_are_listed_once_in_the_order_of_their_first_reading() {
    let folder = folder();
    let text = "server { include b.inc; include a.inc; }\nserver { include b.inc; listen 1; }";
    let options = options(&folder, text);
    fs::write(folder.path().join("a.inc"), "").expect("a writable directory");
    fs::write(folder.path().join("b.inc"), "send_timeout 1;").expect("a writable directory");
    let loaded = load(&options).expect("a good configuration");
    let names: Vec<_> = loaded.sources.iter().filter_map(|source| source.path.file_name()?.to_str()).collect();
    assert_eq!(names, ["nginx.conf", "b.inc", "a.inc"]);
    assert_eq!(&*loaded.sources[1].text, b"send_timeout 1;");
}

#[test]
fn a_warning_points_into_the_listed_sources() {
    let folder = folder();
    let mut options = options(&folder, "include ok.inc;\ninclude ok.inc;\ninclude odd.inc;\n");
    options.globals = Some("worker_processes 1;".into());
    fs::write(folder.path().join("ok.inc"), "access_log off;").expect("a writable directory");
    fs::write(folder.path().join("odd.inc"), "server { server_name a/b; }").expect("a writable directory");
    let loaded = load(&options).expect("a good configuration");
    let shown = loaded.warnings[0].render_terminal(&loaded.sources, "culvert", false);
    assert!(shown.contains("1 | server { server_name a/b; }\n  |                      ^^^\n"), "{shown}");
}

#[test]
fn the_default_error_log_is_an_option() {
    let folder = folder();
    let mut options = options(&folder, "server { }");
    options.error_log = Some("stderr".into());
    let loaded = load(&options).expect("a good configuration");
    assert_eq!(loaded.config.main.error_log[0].target, LogTarget::Stderr);
    assert_eq!(loaded.config.http.servers[0].root.error_logs[0].target, LogTarget::Stderr);
}

#[test]
fn without_root_the_user_is_ignored_with_a_warning_and_the_default_port_is_8000() {
    let folder = folder();
    let loaded = load(&options(&folder, "user nobody;\nserver { }")).expect("a good configuration");
    assert_eq!(loaded.config.main.user, None);
    assert!(loaded.warnings[0].message.contains("super-user privileges"));
    assert_eq!(loaded.warnings[0].level, Level::Warn);
    let listen = format!("{:?}", loaded.config.http.servers[0].listens[0].addr);
    assert_eq!(listen, "Inet(0.0.0.0:8000)");
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced_with_a_warning() {
    let folder = folder();
    let text = b"# caf\xe9\nserver { return 200 \"caf\xe9\"; }";
    let loaded = load(&options(&folder, text)).expect("a good configuration");
    assert_eq!(loaded.warnings.len(), 1, "comments may hold anything");
    assert!(loaded.warnings[0].message.contains("not valid UTF-8"));
}

#[test]
fn a_hundred_nested_blocks_are_read_and_one_more_is_not() {
    let folder = folder();
    let nested = |levels: usize| format!("server {{\n{}{}}}", "location / {\n".repeat(levels), "}".repeat(levels));
    assert!(load(&options(&folder, nested(99))).is_ok());
    let report = fails(&options(&folder, nested(100)));
    let shown = report.render_terminal("culvert", false).replace(&*folder.path().to_string_lossy(), "DIR");
    let expected = concat!(
        "culvert: [emerg] too many nested blocks in DIR/nginx.conf:101\n",
        "    |\n",
        "101 | location / {\n",
        "    | ^^^^^^^^\n",
    );
    assert_eq!(shown, expected);
}

#[test]
fn blocks_of_included_files_count_as_the_blocks_around_them() {
    let folder = folder();
    fs::write(folder.path().join("deep.inc"), "location / {".repeat(60) + &"}".repeat(60))
        .expect("a writable directory");
    let text = format!("server {{ {} include deep.inc; {} }}", "location / {".repeat(60), "}".repeat(60));
    let lines = fails(&options(&folder, text)).lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("[emerg] too many nested blocks in ") && lines[0].ends_with("deep.inc:1"),
        "{lines:?}"
    );
}

#[test]
fn files_that_include_each_other_in_a_long_row_end_in_a_message() {
    let folder = folder();
    for number in 0..200 {
        let text = format!("include {}.inc;", number + 1);
        fs::write(folder.path().join(format!("{number}.inc")), text).expect("a writable directory");
    }
    let lines = fails(&options(&folder, "include 0.inc;")).lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("[emerg] too many nested includes in ") && lines[0].ends_with("98.inc:1"),
        "{lines:?}"
    );
}

#[test]
fn only_a_regular_file_is_included_and_none_that_is_huge() {
    let folder = folder();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).expect("a socket in a temporary directory");
    let huge = folder.path().join("huge.inc");
    fs::File::create(&huge).and_then(|file| file.set_len((64 << 20) + 1)).expect("a writable directory");
    std::os::unix::fs::symlink("/dev/null", folder.path().join("nothing.inc")).expect("a writable directory");
    let report = fails(&options(&folder, "include socket;\ninclude huge.inc;\ninclude nothing.inc;\ndaemon x;"));
    let lines: Vec<String> =
        report.lines().into_iter().map(|line| line.replace(&*folder.path().to_string_lossy(), "DIR")).collect();
    assert_eq!(
        lines,
        [
            "[emerg] \"DIR/socket\" is not a regular file in DIR/nginx.conf:1",
            "[emerg] \"DIR/huge.inc\" is too large, more than 64 MiB in DIR/nginx.conf:2",
            "[emerg] invalid value \"x\" in \"daemon\" directive, it must be \"on\" or \"off\" in DIR/nginx.conf:4",
        ]
    );
}

#[test]
fn the_main_file_may_be_a_pipe() {
    let folder = folder();
    let mut options = options(&folder, "");
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    writer.write_all(b"worker_processes 3;").expect("a pipe holds as much");
    drop(writer);
    options.file = format!("/proc/self/fd/{}", reader.as_raw_fd()).into();
    let loaded = load(&options).expect("a good configuration");
    assert_eq!(loaded.config.main.worker_processes, Some(3));
}

#[test]
fn a_wrong_file_is_told_in_full_with_suggestions_for_its_beginning() {
    let folder = folder();
    let report = fails(&options(&folder, "lisen 80;\n".repeat(16_000)));
    assert_eq!(report.diagnostics.len(), 16_000);
    assert_eq!(report.diagnostics.iter().filter(|found| found.suggestion.is_some()).count(), 50);
}

/// Every golden file, cut and spoilt in every place: whatever comes out, nothing panics.
#[test]
fn no_text_makes_the_reader_panic() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folder = folder();
    for entry in fs::read_dir(golden).expect("the golden folder exists") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_none_or(|found| found != "conf") {
            continue;
        }
        let text = fs::read(&path).expect("a readable file");
        for at in (0..text.len()).step_by(97) {
            for spoil in [&b""[..], b"}", b"{", b"\"", b"\\", b"$", b"\xff;", b"${"] {
                let mut spoilt = text[..at].to_vec();
                spoilt.extend_from_slice(spoil);
                spoilt.extend_from_slice(&text[(at + 3).min(text.len())..]);
                // The verdict does not matter here.
                let _verdict = load(&options(&folder, spoilt));
            }
        }
    }
}
