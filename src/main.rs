//! The `culvert` binary: reads the command line, does what it says, and turns the end into an exit code.
//!
//! Nothing here knows a directive or touches a proxied byte. What `nginx.conf` means is [`culvert_conf`]'s business, what
//! happens on sockets is [`culvert_proxy`]'s.

mod allocator;
mod argv;
mod connect;
mod demo;
mod echo;
mod gateway;
mod pid_file;

use std::io::Write;
use std::process::ExitCode;

/// How Culvert calls itself in messages, where nginx says `nginx`.
const PROGRAM: &str = "culvert";

/// Culvert's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn main() -> ExitCode {
    match argv::parse(std::env::args_os().skip(1)) {
        Ok(argv::Command::Gateway(arguments)) => gateway::run(&arguments),
        Ok(argv::Command::Echo(arguments)) => echo::run(arguments),
        Ok(argv::Command::Connect(arguments)) => connect::run(arguments),
        Ok(argv::Command::Demo(arguments)) => demo::run(&arguments),
        Ok(argv::Command::ToolHelp(text)) => {
            say(text);
            ExitCode::SUCCESS
        }
        Err(message) => complain(&message),
    }
}

/// Prints to standard output. A reader that went away (`| head`) is no error, and certainly no panic as `print!` makes it.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints to standard error; when that is closed there is no place left to say so.
fn warn(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Prints `culvert: MESSAGE` to standard error, and gives the exit code that goes with it.
fn complain(message: &str) -> ExitCode {
    warn(&format!("{PROGRAM}: {message}\n"));
    ExitCode::FAILURE
}
