//! The PROXY protocol's header in front of a connection (`listen … proxy_protocol`), read before anything else.

use crate::exchange::ClientFacts;
use crate::io::address;
use crate::io::reactor::Ready;
use crate::io::{Socket, Transport};
use crate::lifecycle::Shared;
use culvert_conf::config::Level;
use culvert_engine::proxy_protocol::{HEADER_BYTES_MAX, Parsed, parse};
use std::io;
use tokio::time::timeout;

/// Takes the header off the connection and notes what it says. False where there is none, or it does not come in time:
/// the connection is of no use then. `site` is the listening address that it came in on.
pub(crate) async fn read(io: &mut Transport, facts: &mut ClientFacts, site: usize, shared: &Shared) -> bool {
    let generation = shared.generation.load_full();
    let Some(site) = generation.site_of(site) else { return false };
    let wait = generation.default_server(site).client_header_timeout;
    let Some(socket) = io.socket() else { return false };
    match timeout(wait, take(socket)).await {
        Ok(Ok(Taken::Header(header))) => {
            facts.proxy = Some(header);
            true
        }
        Ok(Ok(Taken::Broken(bytes))) => {
            let text = String::from_utf8_lossy(&bytes);
            log(facts, shared, Level::Error, &format!("broken header: \"{text}\""));
            false
        }
        // A client that leaves without a word is not worth one, as nginx has it.
        Ok(Err(_)) => false,
        Err(_) => {
            log(facts, shared, Level::Info, "client timed out (110: Connection timed out)");
            false
        }
    }
}

enum Taken {
    Header(Box<culvert_engine::proxy_protocol::ProxyHeader>),
    Broken(Vec<u8>),
}

/// Looks at what has come until it is a whole header, and takes exactly that.
async fn take(socket: &Socket) -> io::Result<Taken> {
    let mut seen = vec![0; HEADER_BYTES_MAX];
    loop {
        let length = socket.peek(&mut seen).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match parse(&seen[..length]) {
            Parsed::Whole(header, length) => {
                socket.skip(length).await?;
                return Ok(Taken::Header(Box::new(header)));
            }
            Parsed::Broken => {
                // What is left unread would turn the close into a reset.
                socket.skip(length).await?;
                return Ok(Taken::Broken(seen[..length].to_vec()));
            }
            // The next bytes to arrive wake the task.
            Parsed::Partial => socket.registration().is_spent(Ready::READ),
        }
    }
}

fn log(facts: &ClientFacts, shared: &Shared, level: Level, message: &str) {
    let generation = shared.generation.load();
    let ends = address::ends(facts.remote, facts.local);
    generation.error_sink.write(level, facts.serial, format_args!("{message} while reading PROXY protocol, {ends}"));
}
