//! A gateway as a process: Culvert or the real nginx, on a configuration text.

use crate::{Deadline, Place, Process, Signal, config};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Which gateway to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Culvert's binary: a test has its path from `env!("CARGO_BIN_EXE_culvert")`.
    Culvert(PathBuf),
    /// The distribution's nginx.
    Nginx,
}

impl Program {
    /// Culvert, by the path of its binary.
    pub fn culvert(path: impl Into<PathBuf>) -> Self {
        Program::Culvert(path.into())
    }

    /// The path of the binary. Debian keeps nginx where only root's search path looks.
    pub fn path(&self) -> &Path {
        match self {
            Program::Culvert(path) => path,
            Program::Nginx => Path::new("/usr/sbin/nginx"),
        }
    }
}

/// A running gateway; it is killed when this is dropped.
#[derive(Debug)]
pub struct Gateway {
    program: Program,
    process: Process,
    dir: PathBuf,
    config: PathBuf,
}

/// How a gateway that did not start ended.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Gateway {
    /// Starts a gateway in the foreground and waits until all its listeners are bound, which its pid file tells.
    ///
    /// `{address}` and `{dir}` in the text stand for the place's. A text without an `http` block is the inside of one, and
    /// what else is missing is added: `daemon off`, `events {}`, `pid {dir}/gateway.pid`, `error_log {dir}/error.log info`
    /// and, around a bare text, `access_log {dir}/access.log`.
    ///
    /// # Panics
    /// When it ends instead, with all that it said.
    #[track_caller]
    pub fn start(program: &Program, place: &Place, config: &str) -> Self {
        Gateway::try_start(program, place, config)
            .unwrap_or_else(|refusal| panic!("the gateway did not start: {}\n{}", refusal.status, refusal.stderr))
    }

    /// As [`Gateway::start`], for a gateway that is expected not to start.
    ///
    /// # Errors
    /// How it ended.
    #[track_caller]
    pub fn try_start(program: &Program, place: &Place, config: &str) -> Result<Self, Refusal> {
        let pid_file = place.path("gateway.pid");
        let _ = std::fs::remove_file(&pid_file);
        let config = write_config(program, place, config);
        let process = Process::start(&command(program, place, &config), place.dir(), "gateway");
        let mut gateway = Gateway { program: program.clone(), process, dir: place.dir().into(), config };
        let ended = Deadline::default().until("the gateway's pid file", || match gateway.process.exited() {
            Some(status) => Some(Some(status)),
            None => std::fs::metadata(&pid_file).is_ok_and(|file| file.len() > 0).then_some(None),
        });
        match ended {
            Some(status) => Err(Refusal { status, stderr: gateway.stderr() }),
            None => Ok(gateway),
        }
    }

    /// Writes another configuration over the one that it was started with, for a reload.
    pub fn write_config(&self, place: &Place, config: &str) {
        write_config(&self.program, place, config);
    }

    /// The path of its configuration file.
    pub fn config_path(&self) -> &Path {
        &self.config
    }

    /// A command of the same program on the same prefix and configuration, to add arguments such as `-s reload` to.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.program.path());
        command.arg("-p").arg(&self.dir).arg("-c").arg(&self.config);
        command
    }

    /// The process id of the gateway (nginx's master).
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self, deadline: Deadline) -> ExitStatus {
        self.process.wait_exit(deadline)
    }

    /// What it has written to standard error.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// The text of `{dir}/access.log`.
    pub fn access_log(&self) -> String {
        self.log("access.log")
    }

    /// Waits until the access log has at least `lines` lines, and gives all of them.
    #[track_caller]
    pub fn access_log_until(&self, lines: usize, deadline: Deadline) -> Vec<String> {
        deadline.until(&format!("{lines} lines in the access log"), || {
            let log = self.access_log();
            let whole = log.rfind('\n').map_or("", |end| &log[..end]);
            let whole: Vec<String> = whole.lines().map(str::to_owned).collect();
            (whole.len() >= lines).then_some(whole)
        })
    }

    /// The text of `{dir}/error.log`.
    pub fn error_log(&self) -> String {
        self.log("error.log")
    }

    /// Waits until a line of the error log contains `text`, and gives that line.
    #[track_caller]
    pub fn error_log_until(&self, text: &str, deadline: Deadline) -> String {
        let line = deadline.try_until(|| {
            let log = self.error_log();
            log.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains(text)).map(str::to_owned)
        });
        match line {
            Some(line) => line.trim_end().to_owned(),
            None => panic!("no line with {text:?} in the error log:\n{}", self.error_log()),
        }
    }

    /// CPU time so far, of all its processes and threads.
    pub fn cpu_time(&self) -> Duration {
        self.process.cpu_time()
    }

    /// How many threads it has, over all its processes.
    pub fn threads(&self) -> usize {
        self.process.threads()
    }

    /// How many file descriptors it has open, over all its processes.
    pub fn descriptors(&self) -> usize {
        self.process.descriptors()
    }

    /// Resident memory in bytes, of all its processes.
    pub fn resident_bytes(&self) -> u64 {
        self.process.resident_bytes()
    }

    fn log(&self, name: &str) -> String {
        let bytes = std::fs::read(self.dir.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

fn write_config(program: &Program, place: &Place, text: &str) -> PathBuf {
    let whole = config::complete(text, place);
    let whole = if *program == Program::Nginx { config::with_nginx_paths(&whole, place) } else { whole };
    place.write("gateway.conf", whole)
}

fn command(program: &Program, place: &Place, config: &Path) -> Command {
    let mut command = Command::new(program.path());
    command.arg("-p").arg(place.dir()).arg("-c").arg(config).arg("-e").arg(place.path("error.log"));
    command.current_dir(place.dir());
    command
}
