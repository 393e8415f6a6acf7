//! A loopback address and a directory that belong to one test alone.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Whoever holds this UDP port of a loopback address holds the address. It lies above Linux' range of ephemeral ports,
/// so that no stray socket takes it.
const LEASE_PORT: u16 = 61_001;

/// Each of the last three numbers of an address lies in this range: three digits each, so that all addresses are of one
/// length (and with them all messages and logs that quote one), and far from the 127.0.0.1 that people use.
const NUMBERS: std::ops::Range<u32> = 100..250;

/// An address on which every port is the test's, and a fresh directory, both for as long as this lives.
#[derive(Debug)]
pub struct Place {
    address: Ipv4Addr,
    _lease: UdpSocket,
    dir: Option<TempDir>,
}

impl Default for Place {
    fn default() -> Self {
        Place::new()
    }
}

impl Place {
    /// Leases an address and makes a directory.
    ///
    /// # Panics
    /// When no directory can be made or no address is free.
    pub fn new() -> Self {
        let (address, lease) = lease_address();
        let dir = tempfile::Builder::new().prefix("culvert-test-").tempdir().expect("a directory for the test");
        // A gateway that gives up its privileges still has to reach its files.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("the directory is ours");
        Place { address, _lease: lease, dir: Some(dir) }
    }

    /// The loopback address; all of its ports are free for the test.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The address with a port.
    pub fn at(&self, port: u16) -> SocketAddr {
        (self.address, port).into()
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.dir.as_ref().expect("the directory is there until the place is dropped").path()
    }

    /// The path of a file in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// Writes a file (and the directories above it) and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file in the directory")).expect("a directory for the file");
        std::fs::write(&path, contents).expect("a file in the test's directory");
        path
    }

    /// A file's text; empty where there is no such file.
    pub fn read(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Puts the address for `{address}` and the directory for `{dir}`.
    pub fn fill(&self, text: &str) -> String {
        text.replace("{address}", &self.address.to_string()).replace("{dir}", &self.dir().to_string_lossy())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        if let Some(dir) = self.dir.take() {
            eprintln!("the test's files are kept in {}", dir.keep().display());
        }
    }
}

/// Takes the first address whose lease port nobody holds. Processes begin at different places, so that tests that start
/// together rarely ask for the same one.
fn lease_address() -> (Ipv4Addr, UdpSocket) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(257);
    let span = NUMBERS.end - NUMBERS.start;
    for _ in 0..10_000 {
        let index = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let number = |place: u32| (NUMBERS.start + index / place % span) as u8;
        let address = Ipv4Addr::new(127, number(span * span), number(span), number(1));
        if let Ok(lease) = UdpSocket::bind((address, LEASE_PORT))
            && !is_listened_on(address)
        {
            return (address, lease);
        }
    }
    panic!("no loopback address is free: is UDP port {LEASE_PORT} bound on all addresses?");
}

/// Whether somebody listens on the address without holding its lease: a server that outlived a test that was killed.
fn is_listened_on(address: Ipv4Addr) -> bool {
    const LISTEN: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let wanted = format!("{:08X}:", u32::from_ne_bytes(address.octets()));
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, state) = (words.next(), words.nth(1));
        local.is_some_and(|local| local.starts_with(&wanted)) && state == Some(LISTEN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_places_share_nothing() {
        let (one, other) = (Place::new(), Place::new());
        assert_ne!(one.address(), other.address());
        assert_ne!(one.dir(), other.dir());
    }

    #[test]
    fn a_directory_goes_away_with_its_place() {
        let place = Place::new();
        let file = place.write("a/b", "text");
        assert_eq!(place.read("a/b"), "text");
        drop(place);
        assert!(!file.exists());
    }
}
