//! Child processes that never outlive the tests, and what `/proc` says of them.

use crate::Deadline;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::time::Duration;

/// Linux counts CPU time for `/proc` in hundredths of a second on every architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// A child process in a process group of its own. Dropping it kills the group; so does the death of the test process.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    exit: Option<ExitStatus>,
}

impl Process {
    /// Starts a command. Its output goes to `NAME.stdout` and `NAME.stderr` in `dir`, its input is empty.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &Command, dir: &Path, name: &str) -> Self {
        let (stdout, stderr) = (dir.join(format!("{name}.stdout")), dir.join(format!("{name}.stderr")));
        let mut bound = bound_to_us(command);
        bound.stdin(Stdio::null()).stdout(create(&stdout)).stderr(create(&stderr));
        let child = spawn(bound).unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Process { child, stdout, stderr, exit: None }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard output.
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// What it has written to its standard error.
    pub fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }

    /// Waits until its standard output contains `text`, and gives all of it. Panics if the process ends before.
    #[track_caller]
    pub fn stdout_until(&mut self, text: &str, deadline: Deadline) -> String {
        deadline.until(&format!("{text:?} on standard output"), || {
            let ended = self.exited();
            let output = self.stdout();
            if output.contains(text) {
                return Some(output);
            }
            assert!(ended.is_none(), "ended with {ended:?} before it wrote {text:?}: {output}{}", self.stderr());
            None
        })
    }

    /// Sends a signal to the process itself, not to its children.
    pub fn signal(&self, signal: Signal) {
        kill(pid(self.child.id()), signal).expect("the process is ours and not yet reaped");
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        if self.exit.is_none() {
            self.exit = self.child.try_wait().expect("the child is ours");
        }
        self.exit
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_exit(&mut self, deadline: Deadline) -> ExitStatus {
        deadline.until("the process to end", || self.exited())
    }

    /// CPU time that the process and its children have used: user and system, all threads.
    pub fn cpu_time(&self) -> Duration {
        self.family().iter().map(|pid| cpu_time(*pid)).sum()
    }

    /// How many threads the process and its children have.
    pub fn threads(&self) -> usize {
        self.family().iter().map(|pid| count(&format!("/proc/{pid}/task"))).sum()
    }

    /// How many file descriptors the process and its children have open.
    pub fn descriptors(&self) -> usize {
        self.family().iter().map(|pid| count(&format!("/proc/{pid}/fd"))).sum()
    }

    /// Resident memory of the process and its children in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.family().iter().map(|pid| resident_bytes(*pid)).sum()
    }

    /// The process and its children.
    fn family(&self) -> Vec<u32> {
        let own = self.child.id();
        let tasks = std::fs::read_dir(format!("/proc/{own}/task")).into_iter().flatten().flatten();
        let children = tasks.flat_map(|task| {
            let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        });
        std::iter::once(own).chain(children).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The group outlives its leader, so this also reaches the workers of a master that has ended; it fails only
        // where nobody is left.
        let _ = killpg(pid(self.child.id()), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// What a command that ran to its end left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// Runs a command to its end with nothing on its standard input; panics if it is still there at the deadline.
#[track_caller]
pub fn run(command: &Command, deadline: Deadline) -> Finished {
    let dir = tempfile::tempdir().expect("a directory for the command's output");
    let mut process = Process::start(command, dir.path(), "run");
    let status = process.wait_exit(deadline);
    Finished { status, stdout: process.stdout(), stderr: process.stderr() }
}

/// The same command, in a process group of its own, and such that the kernel kills it when the test process dies:
/// `setpriv` asks for that and then becomes the command, under the same process id.
fn bound_to_us(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args()).process_group(0);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        bound.current_dir(dir);
    }
    bound
}

/// Starts all children from one thread that never ends: the kernel takes the death of the *thread* that started a child
/// for the death of its parent, and the threads of tests come and go.
fn spawn(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static ORDERS: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in receiver {
                let _ = reply.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (reply, answer) = mpsc::channel();
    let lock = orders.lock().expect("nobody panics while holding it");
    lock.send((command, reply)).expect("the thread never ends");
    answer.recv().expect("the thread answers every order")
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("process ids are positive numbers of 31 bits"))
}

fn create(path: &Path) -> std::fs::File {
    std::fs::File::create(path).unwrap_or_else(|error| panic!("cannot create {}: {error}", path.display()))
}

fn read_lossy(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = std::fs::File::open(path) {
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn count(dir: &str) -> usize {
    std::fs::read_dir(dir).map_or(0, Iterator::count)
}

/// Fields 14 and 15 of `/proc/PID/stat`; the second field may contain spaces, hence the count from its closing bracket.
fn cpu_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0 kB");
    line.split_whitespace().next().and_then(|kilobytes| kilobytes.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_run_to_its_end() {
        let finished = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), Deadline::default());
        assert_eq!(finished.status.code(), Some(3));
        assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", "err\n"));
    }

    #[test]
    fn a_dropped_process_is_killed_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $!; wait";
        let mut process = Process::start(Command::new("sh").args(["-c", script]), dir.path(), "sh");
        let child = process.stdout_until("\n", Deadline::default()).trim().to_owned();
        drop(process);
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            (stat.is_empty() || stat.contains(") Z ")).then_some(())
        };
        Deadline::default().until("the grandchild to be killed", gone);
    }
}
