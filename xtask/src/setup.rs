//! Installs what the tests and the bench need and what is missing: Debian's packages, and what the test kit has from npm and
//! pip.

use crate::command::{self, find};
use crate::root;
use anyhow::{Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Something that has to be there, and the Debian package that has it.
struct Need {
    sign: Sign,
    package: &'static str,
}

/// What tells that a package is installed.
enum Sign {
    /// A program of this name, wherever programs are looked for.
    Program(&'static str),
    /// A file at this path: of libraries, and of programs that have to be Debian's own.
    File(&'static str),
}

/// Real peers are the tests' judges, so they are needed, not optional.
const NEEDS: [Need; 15] = [
    Need::program("make", "make"),
    // libFuzzer, for `cargo xtask fuzz`, is built by it.
    Need::program("c++", "g++"),
    Need::program("nginx", "nginx-light"),
    Need::program("haproxy", "haproxy"),
    Need::program("curl", "curl"),
    Need::program("h2load", "nghttp2-client"),
    Need::program("node", "nodejs"),
    Need::program("npm", "npm"),
    Need::program("chromium", "chromium"),
    Need::program("firefox-esr", "firefox-esr"),
    Need::program("ip", "iproute2"),
    Need::file("/usr/sbin/dnsmasq", "dnsmasq-base"),
    // Debian's packages for Python are seen by Debian's Python alone.
    Need::file("/usr/bin/python3", "python3"),
    Need::file("/usr/lib/python3/dist-packages/websockets/__init__.py", "python3-websockets"),
    // It fills a virtual environment from outside, which need not have one of its own then.
    Need::file("/usr/lib/python3/dist-packages/pip/__init__.py", "python3-pip"),
];

/// What a bench compares Culvert with and measures it by. It does without what can't be installed.
const PEERS: [Need; 5] = [
    Need::program("nginx", "nginx-light"),
    Need::program("haproxy", "haproxy"),
    Need::program("caddy", "caddy"),
    Need::program("strace", "strace"),
    Need::program("valgrind", "valgrind"),
];

impl Need {
    const fn program(name: &'static str, package: &'static str) -> Need {
        Need { sign: Sign::Program(name), package }
    }

    const fn file(path: &'static str, package: &'static str) -> Need {
        Need { sign: Sign::File(path), package }
    }

    fn is_met(&self) -> bool {
        match self.sign {
            Sign::Program(name) => find(name).is_some(),
            Sign::File(path) => Path::new(path).is_file(),
        }
    }

    fn name(&self) -> &'static str {
        match self.sign {
            Sign::Program(name) | Sign::File(name) => name,
        }
    }
}

/// Installs packages, as root. Debian starts a server when it installs it, unless a policy says no (101, "action
/// forbidden by policy"), and a server of somebody else's on port 80 is nothing that a test should leave behind.
const INSTALL: &str = "\
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\\nexit 101\\n' > $policy
    chmod 755 $policy
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -q install -y --no-install-recommends \"$@\"
";

/// Installs all that is missing.
pub(crate) fn run() -> Result<()> {
    install_packages("The tests need", &NEEDS)?;
    install_node_modules("testkit/node")?;
    install_node_modules("testkit/apps")?;
    install_python_packages("testkit/apps")
}

/// Installs what a bench runs beside Culvert, as far as it can.
pub(crate) fn install_peers() {
    if let Err(error) = install_packages("The bench runs", &PEERS) {
        println!("The bench goes on without: {error:#}");
    }
}

fn install_packages(who: &str, needs: &[Need]) -> Result<()> {
    let missing: Vec<&str> = needs.iter().filter(|need| !need.is_met()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("{who} packages that are not installed: {}", missing.join(" "));
    if find("apt-get").is_none() {
        bail!("there is no apt-get here; please install them and try again");
    }
    let mut command = match (rustix::process::geteuid().is_root(), find("sudo")) {
        (true, _) => Command::new("sh"),
        (false, Some(sudo)) => {
            let mut command = Command::new(sudo);
            command.arg("sh");
            command
        }
        (false, None) => bail!("installing them takes root; please run: apt-get install {}", missing.join(" ")),
    };
    command::run(command.args(["-c", INSTALL, "install"]).args(&missing))?;
    match needs.iter().find(|need| !need.is_met()) {
        Some(need) => bail!("{} is still missing after {} was installed", need.name(), need.package),
        None => Ok(()),
    }
}

/// Runs `npm ci` in a folder unless what is installed is newer than the list of what should be.
fn install_node_modules(folder: &str) -> Result<()> {
    let directory = root().join(folder);
    let modified = |file: &str| directory.join(file).metadata().and_then(|data| data.modified()).ok();
    // npm writes this hidden list at the end of every installation.
    match (modified("node_modules/.package-lock.json"), modified("package-lock.json")) {
        (_, None) => return Ok(()),
        (Some(installed), Some(wanted)) if installed >= wanted => return Ok(()),
        _ => {}
    }
    command::run(
        Command::new("npm")
            // What is optional is native code that makes others faster, and might have to be compiled.
            .args(["ci", "--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts"])
            .current_dir(directory)
            .env("PATH", command::search_path()),
    )
}

/// Fills a folder's virtual environment with what its `requirements.txt` names, unless a copy of that list says that it has
/// been done.
fn install_python_packages(folder: &str) -> Result<()> {
    let directory = root().join(folder);
    let (wanted, installed) = (directory.join("requirements.txt"), directory.join("venv/requirements.txt"));
    if fs::read(&installed).ok() == Some(fs::read(&wanted)?) {
        return Ok(());
    }
    let python = || {
        let mut command = Command::new("/usr/bin/python3");
        command.current_dir(&directory);
        command
    };
    command::run(python().args(["-m", "venv", "--clear", "--without-pip", "venv"]))?;
    let pip = ["-m", "pip", "--python", "venv/bin/python", "install", "--quiet", "--disable-pip-version-check"];
    command::run(python().args(pip).args(["--no-compile", "--requirement", "requirements.txt"]))?;
    fs::copy(wanted, installed)?;
    Ok(())
}
