//! The PROXY protocol in front of TLS, as a load balancer that passes TLS on would speak it.

use super::*;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// Listens at `from`, and leads each connection to `to` with a header in front of its first bytes.
fn lead(from: SocketAddr, to: SocketAddr, header: &'static [u8]) {
    let listener = TcpListener::bind(from).expect("the place's address is free");
    // The threads end with the test's connections, or with its process.
    thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(mut client), Ok(mut server)) = (client, TcpStream::connect(to)) else { return };
            let (mut answers, mut back) =
                (server.try_clone().expect("a descriptor"), client.try_clone().expect("a descriptor"));
            thread::spawn(move || {
                let _ = std::io::copy(&mut answers, &mut back);
                let _ = back.shutdown(Shutdown::Write);
            });
            thread::spawn(move || {
                let mut first = vec![0; 16_384];
                let read = client.read(&mut first).unwrap_or(0);
                let _ = server.write_all(&[header, &first[..read]].concat());
                let _ = std::io::copy(&mut client, &mut server);
                let _ = server.shutdown(Shutdown::Write);
            });
        }
    });
}

/// A gateway at 8443 that wants the header, and a balancer at 8444 that sends it.
fn balanced(header: &'static [u8]) -> World {
    let (place, _) = place();
    let config = format!(
        "server {{ listen {{address}}:8443 ssl proxy_protocol; server_name one.test; {}
         set_real_ip_from 127.0.0.0/8; real_ip_header proxy_protocol;
         return 200 \"$proxy_protocol_addr:$proxy_protocol_port $remote_addr $scheme $ssl_server_name\"; }}",
        certificate("one")
    );
    let world = world(place, &config);
    lead(world.at(8444), world.at(8443), header);
    world
}

#[test]
fn a_header_of_version_1_stands_before_the_handshake() {
    let world = balanced(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n");
    let said = curl_at(&world, 8444, "https://one.test/");
    assert_eq!(said, "192.0.2.7:4711 192.0.2.7 https one.test");
}

#[test]
fn a_header_of_version_2_stands_before_the_handshake() {
    let world = balanced(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb");
    let said = curl_at(&world, 8444, "https://one.test/");
    assert_eq!(said, "192.0.2.7:4711 192.0.2.7 https one.test");
}

#[test]
fn a_handshake_without_the_header_is_refused() {
    let world = balanced(b"");
    let said = curl_at(&world, 8443, "https://one.test/");
    assert!(said.contains("curl: (35)"), "{said}");
    world.error_log_shows("broken header: ");
}

#[test]
fn plain_http_behind_the_header_is_told_so() {
    let world = balanced(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n");
    let said = curl_at(&world, 8444, "http://one.test/");
    assert!(said.contains("The plain HTTP request was sent to HTTPS port"), "{said}");
}

/// As [`curl`], at a port of its own.
fn curl_at(world: &World, port: u16, url: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--max-time", "10", "--cacert"]).arg(world.place().path("authority.crt"));
    let finished = run(command.args(["--connect-to", &format!("::{}", world.at(port))]).arg(url), Deadline::default());
    format!("{}{}", finished.stdout, finished.stderr)
}
