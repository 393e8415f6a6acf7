//! Tells the binary what it is built with, for `culvert -V`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| std::env::var(name).unwrap_or_default();
    let version = Command::new(variable("RUSTC")).arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!("cargo::rustc-env=CULVERT_RUSTC={}", version.unwrap_or_else(|_| "rustc".to_owned()));
    println!("cargo::rustc-env=CULVERT_TARGET={}", variable("TARGET"));
    println!("cargo::rustc-env=CULVERT_PROFILE={}", variable("PROFILE"));
}
