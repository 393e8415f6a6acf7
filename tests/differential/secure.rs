//! Clients that speak TLS: `openssl s_client`, with one end of a pair of sockets for its input and output.
//!
//! In {dir} lie `authority.crt`, and for each name of [`SERVERS`] and [`CLIENTS`] `NAME.crt` and `NAME.key`: the same for all
//! cases and both gateways.

use culvert_testkit::certificates::{Authority, Kind};
use culvert_testkit::{Client, Place};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

/// What `{certificate}` stands for.
pub(crate) const CERTIFICATE: &str = "ssl_certificate {dir}/one.crt; ssl_certificate_key {dir}/one.key;";

const SERVERS: [(&str, &str); 2] = [("one", "one.test"), ("two", "two.test")];
const CLIENTS: [(&str, Kind); 2] = [("client", Kind::Good), ("expired", Kind::Expired)];

/// Makes the certificates once.
static FILES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let place = Place::new();
    let authority = Authority::new(&place, "authority");
    let mut names = vec!["authority.crt".to_owned(), "strange.crt".into(), "strange.key".into()];
    for (name, host) in SERVERS {
        authority.server(&place, name, &[host], Kind::Good);
        names.extend([format!("{name}.crt"), format!("{name}.key")]);
    }
    for (serial, (name, kind)) in (0x1a2b..).zip(CLIENTS) {
        authority.client(&place, name, serial, kind);
        names.extend([format!("{name}.crt"), format!("{name}.key")]);
    }
    Authority::new(&place, "stranger").client(&place, "strange", 7, Kind::Good);
    names.into_iter().map(|name| (name.clone(), place.read(&name))).collect()
});

/// Puts the certificates where the config looks for them.
pub(crate) fn write_files(place: &Place) {
    for (name, text) in FILES.iter() {
        place.write(name, text);
    }
}

/// A running `s_client`.
pub(crate) struct Secured(Child);

impl Secured {
    /// Connects, with these further arguments.
    pub(crate) fn connect(place: &Place, port: u16, arguments: &[String]) -> (Client, Secured) {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        let output = theirs.try_clone().expect("a descriptor");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "timeout", "20", "openssl", "s_client", "-quiet", "-nocommands"]);
        command.args(["-connect", &place.at(port).to_string()]);
        if !arguments.iter().any(|argument| argument == "-servername") {
            command.arg("-noservername");
        }
        command.args(arguments.iter().map(|argument| place.fill(argument)));
        command.stdin(OwnedFd::from(theirs)).stdout(OwnedFd::from(output)).stderr(Stdio::piped());
        let child = command.spawn().expect("setpriv, timeout and openssl");
        (Client::over(ours), Secured(child))
    }

    /// The alert that ended the connection, if one did.
    pub(crate) fn alert(mut self) -> String {
        let mut text = String::new();
        if let Some(mut said) = self.0.stderr.take() {
            let _ = said.read_to_string(&mut text);
        }
        let alert = text.lines().find_map(|line| line.split("SSL alert number ").nth(1));
        alert.map(|number| format!(" [alert {}]", number.trim())).unwrap_or_default()
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
