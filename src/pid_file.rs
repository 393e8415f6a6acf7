//! `-s`: finds the running gateway by its pid file and signals it, with nginx's messages when that fails.

use crate::argv::Signal;
use std::fs;
use std::io;
use std::path::Path;

/// The signal that a word of `-s` stands for.
fn number(signal: Signal) -> rustix::process::Signal {
    match signal {
        Signal::Stop => rustix::process::Signal::TERM,
        Signal::Quit => rustix::process::Signal::QUIT,
        Signal::Reload => rustix::process::Signal::HUP,
        Signal::Reopen => rustix::process::Signal::USR1,
    }
}

/// Signals the process whose number stands in `file`; `None` is a configuration with `pid off`.
pub(crate) fn send(signal: Signal, file: Option<&Path>) -> Result<(), String> {
    let file = file.ok_or("[error] \"pid\" is \"off\", so there is no pid file to find the process by")?;
    let name = file.display();
    let text =
        fs::read_to_string(file).map_err(|error| format!("[error] open() \"{name}\" failed {}", reason(&error)))?;
    let text = text.trim_end_matches(['\r', '\n']);
    // Zero and negative numbers would name whole process groups.
    let process = text.parse().ok().filter(|&process| process > 0).and_then(rustix::process::Pid::from_raw);
    let process = process.ok_or_else(|| format!("[error] invalid PID number \"{text}\" in \"{name}\""))?;
    let number = number(signal);
    rustix::process::kill_process(process, number)
        .map_err(|error| format!("[alert] kill({text}, {}) failed {}", number.as_raw(), reason(&error.into())))
}

/// nginx's form of a system error: `(2: No such file or directory)`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(code) => format!("({code}: {})", text.trim_end_matches(&format!(" (os error {code})"))),
        None => format!("({text})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A pid file with this text, removed at the end.
    struct PidFile(PathBuf);

    impl PidFile {
        fn with(name: &str, text: &str) -> PidFile {
            let path = std::env::temp_dir().join(format!("culvert-{}-{name}.pid", std::process::id()));
            fs::write(&path, text).expect("the temporary directory is writable");
            PidFile(path)
        }
    }

    impl Drop for PidFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn a_missing_file_is_told_as_nginx_does() {
        let message = send(Signal::Stop, Some(Path::new("/nowhere/x.pid"))).unwrap_err();
        assert_eq!(message, "[error] open() \"/nowhere/x.pid\" failed (2: No such file or directory)");
    }

    #[test]
    fn what_is_no_process_number_is_refused() {
        for text in ["", "abc", "0", "-1", "1 2"] {
            let file = PidFile::with("bad", &format!("{text}\n"));
            let message = send(Signal::Stop, Some(&file.0)).unwrap_err();
            assert_eq!(message, format!("[error] invalid PID number \"{text}\" in \"{}\"", file.0.display()));
        }
    }

    #[test]
    fn a_process_that_is_gone_is_told_as_nginx_does() {
        // Above the kernel's largest process number (4194304), so it can't exist.
        let file = PidFile::with("gone", "99999999\n");
        let message = send(Signal::Reload, Some(&file.0)).unwrap_err();
        assert_eq!(message, "[alert] kill(99999999, 1) failed (3: No such process)");
    }

    #[test]
    fn without_a_pid_file_there_is_nobody_to_signal() {
        assert!(send(Signal::Stop, None).unwrap_err().starts_with("[error] \"pid\" is \"off\""));
    }
}
