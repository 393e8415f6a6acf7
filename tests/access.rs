//! Access control on real sockets: the PROXY protocol in pieces, passwords with slow hashes, a changed file.

use culvert_testkit::{Client, world};

const BCRYPT: &str = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

#[test]
fn a_proxy_header_may_come_in_pieces() {
    let world =
        world!("server { listen {address}:8080 proxy_protocol; location / { return 200 $proxy_protocol_addr; } }");
    let mut client = Client::connect(world.at(8080));
    for byte in b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.get("/").text(), "192.0.2.7");
    assert_eq!(client.get("/").text(), "192.0.2.7", "the header holds for the whole connection");
}

#[test]
fn a_connection_that_says_nothing_ends_after_client_header_timeout() {
    let world = world!(
        "server { listen {address}:8080 proxy_protocol; client_header_timeout 100ms; location / { return 200; } }"
    );
    let mut client = Client::connect(world.at(8080));
    client.send("PROXY TCP4");
    client.is_closed();
}

#[test]
fn a_password_is_checked_against_the_file_as_it_is_now() {
    let world =
        world!("server { listen {address}:8080; location / { auth_basic x; auth_basic_user_file {dir}/users; } }");
    let file = world.place().write("users", format!("ann:{BCRYPT}\n"));
    let ask = |token: &str| {
        let mut client = Client::connect(world.at(8080));
        client.send(format!("GET /none HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {token}\r\n\r\n"));
        client.response().status()
    };
    let (right, wrong) = ("YW5uOnNlY3JldA==", "YW5uOndyb25n");
    assert_eq!([ask(right), ask(wrong), ask(right)], [404, 401, 404]);
    std::fs::write(&file, "ann:{PLAIN}wrong\n").expect("the file can be written");
    assert_eq!([ask(right), ask(wrong)], [401, 404]);
    std::fs::remove_file(&file).expect("the file can be removed");
    assert_eq!(ask(right), 403);
}
