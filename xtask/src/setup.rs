//! Installs what the tests need and what is missing: Debian's packages, and the npm packages of the test kit.

use crate::command::{self, find};
use crate::root;
use anyhow::{Result, bail};
use std::process::Command;

/// A program that the tests run, and the Debian package that has it.
struct Need {
    program: &'static str,
    package: &'static str,
}

/// Real peers are the tests' judges, so they are needed, not optional.
const NEEDS: [Need; 7] = [
    Need { program: "nginx", package: "nginx-light" },
    Need { program: "haproxy", package: "haproxy" },
    Need { program: "curl", package: "curl" },
    Need { program: "node", package: "nodejs" },
    Need { program: "npm", package: "npm" },
    Need { program: "chromium", package: "chromium" },
    Need { program: "ip", package: "iproute2" },
];

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
    install_packages()?;
    install_node_modules()
}

fn install_packages() -> Result<()> {
    let missing: Vec<&str> =
        NEEDS.iter().filter(|need| find(need.program).is_none()).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("The tests need packages that are not installed: {}", missing.join(" "));
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
    match NEEDS.iter().find(|need| find(need.program).is_none()) {
        Some(need) => bail!("{} is still missing after {} was installed", need.program, need.package),
        None => Ok(()),
    }
}

/// Runs `npm ci` unless what is installed is newer than the list of what should be.
fn install_node_modules() -> Result<()> {
    let directory = root().join("testkit/node");
    let modified = |file: &str| directory.join(file).metadata().and_then(|data| data.modified()).ok();
    // npm writes this hidden list at the end of every installation.
    match (modified("node_modules/.package-lock.json"), modified("package-lock.json")) {
        (_, None) => return Ok(()),
        (Some(installed), Some(wanted)) if installed >= wanted => return Ok(()),
        _ => {}
    }
    command::run(
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(directory)
            .env("PATH", command::search_path()),
    )
}
