//! The proxies: started, waited for, stopped.

use super::{configuration, cpu, free_address};
use crate::command::find;
use crate::root;
use anyhow::{Context, Result, bail};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a proxy may take to listen.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A proxy that can be measured. Both read the same language, so they run the same file.
pub(super) struct Peer {
    /// Its name in the table.
    pub(super) name: &'static str,
    program: PathBuf,
}

impl Peer {
    /// Finds a peer by name.
    pub(super) fn named(name: &str) -> Result<Peer> {
        match name.trim() {
            "culvert" => Ok(Peer { name: "culvert", program: root().join("target/release/culvert") }),
            "nginx" => match find("nginx") {
                Some(program) => Ok(Peer { name: "nginx", program }),
                None => bail!("nginx is not installed; \"cargo xtask setup\" does that"),
            },
            other => bail!("there is no peer \"{other}\", only culvert and nginx"),
        }
    }

    /// Starts it in front of the backend and waits until it listens.
    pub(super) fn start(&self, directory: &Path, backend: SocketAddr) -> Result<Running> {
        let address = free_address()?;
        // The address makes it a name of its own when a proxy is compared with itself.
        let name = format!("{}-{}", self.name, address.port());
        let file = directory.join(format!("{name}.conf"));
        std::fs::write(&file, configuration(&name, directory, address, backend)?)?;
        let child = self.command().arg("-p").arg(directory).arg("-c").arg(&file).stdin(Stdio::null()).spawn();
        let child = child.with_context(|| format!("could not start {}", self.program.display()))?;
        let mut running = Running { name: self.name, address, child };
        running.wait_until_it_listens()?;
        Ok(running)
    }

    fn command(&self) -> Command {
        match find("taskset").filter(|_| cpu::cores_can_be_divided()) {
            Some(taskset) => {
                let mut command = Command::new(taskset);
                command.arg("-c").arg(cpu::PROXIES_CORE.to_string()).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        }
    }
}

/// A proxy that listens; dropping it stops it.
pub(super) struct Running {
    /// Its name in the table.
    pub(super) name: &'static str,
    /// Where it listens.
    pub(super) address: SocketAddr,
    child: Child,
}

impl Running {
    /// The CPU time that it has used so far.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        cpu::used_by(self.child.id())
    }

    /// The memory that it holds now, in bytes.
    pub(super) fn memory(&self) -> Result<u64> {
        cpu::memory_of(self.child.id())
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended instead of listening: {status}", self.name);
            }
            if Instant::now() > deadline {
                bail!("{} did not listen on {} in {START_TIMEOUT:?}", self.name, self.address);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        cpu::stop(self.child.id());
        let _ = self.child.wait();
    }
}
