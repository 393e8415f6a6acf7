//! Files that are not what they should be, and clients that do not do what they should.

use super::*;
use culvert_testkit::{Client, Gateway};
use std::time::{Duration, Instant};

/// What a gateway that does not start says.
fn refusal(place: &Place, config: &str) -> String {
    let program = World::program(env!("CARGO_BIN_EXE_culvert"));
    let refusal = Gateway::try_start(&program, place, config).expect_err("it can't start");
    refusal.stderr + &place.read("error.log")
}

fn server(directives: &str) -> String {
    format!("server {{ listen {{address}}:8443 ssl; server_name one.test; {directives} return 200 hi; }}")
}

#[test]
fn files_that_are_missing_or_do_not_fit_are_named() {
    let (place, authority) = place();
    authority.server(&place, "other", &["other.test"], Kind::Good);
    place.write("empty.crt", "");
    let file = |name: &str| place.path(name).display().to_string();
    let pair = |certificate: &str, key: &str| {
        format!("ssl_certificate {{dir}}/{certificate}; ssl_certificate_key {{dir}}/{key};")
    };
    let cases = [
        (
            pair("none.crt", "one.key"),
            format!("[emerg] cannot load certificate \"{}\": BIO_new_file() failed", file("none.crt")),
        ),
        (
            pair("one.crt", "none.key"),
            format!("[emerg] cannot load certificate key \"{}\": BIO_new_file() failed", file("none.key")),
        ),
        (
            pair("empty.crt", "one.key"),
            format!("[emerg] cannot load certificate \"{}\": PEM_read_bio_X509_AUX() failed", file("empty.crt")),
        ),
        (
            pair("one.crt", "one.crt"),
            format!("[emerg] cannot load certificate key \"{}\": PEM_read_bio_PrivateKey() failed", file("one.crt")),
        ),
        (pair("one.crt", "other.key"), format!("[emerg] SSL_CTX_use_PrivateKey(\"{}\") failed", file("other.key"))),
        (
            certificate("one") + "ssl_dhparam {dir}/none.pem;",
            format!("[emerg] BIO_new_file(\"{}\") failed", file("none.pem")),
        ),
        (
            certificate("one") + "ssl_session_ticket_key {dir}/one.crt;",
            format!("[emerg] \"{}\" must be 48 or 80 bytes", file("one.crt")),
        ),
        (
            certificate("one") + "ssl_verify_client on; ssl_client_certificate {dir}/none.crt;",
            format!("[emerg] SSL_CTX_load_verify_locations(\"{}\") failed", file("none.crt")),
        ),
        (
            String::new(),
            "[emerg] no \"ssl_certificate\" is defined for the \"listen ... ssl\" directive in ".to_owned(),
        ),
    ];
    for (directives, message) in cases {
        let said = refusal(&place, &server(&directives));
        assert!(said.contains(&message), "{message}\nis not in\n{said}");
    }
}

#[test]
fn keys_behind_a_pass_phrase_are_read_with_it() {
    let (place, _) = place();
    let encrypt = |word: &str, file: &str| {
        let mut command = Command::new("openssl");
        command.args(["pkcs8", "-topk8", "-passout", &format!("pass:{word}"), "-in"]).arg(place.path("one.key"));
        let finished = run(command.arg("-out").arg(place.path(file)), Deadline::default());
        assert!(finished.status.success(), "{}", finished.stderr);
    };
    encrypt("open sesame", "locked.key");
    encrypt("something else", "other.key");
    place.write("words", "wrong\nopen sesame\n");
    let with = |key: &str| {
        server(&format!(
            "ssl_password_file {{dir}}/words; ssl_certificate {{dir}}/one.crt; ssl_certificate_key {{dir}}/{key};"
        ))
    };
    let said = refusal(&place, &with("other.key"));
    assert!(said.contains("[emerg] cannot load certificate key \"") && said.contains("bad decrypt"), "{said}");
    let world = world(place, &with("locked.key"));
    assert_eq!(curl(&world, "https://one.test:8443/", &[]), "hi");
}

#[test]
fn an_answer_of_the_authoritys_responder_is_stapled() {
    let (place, authority) = place();
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        let finished = run(command.args(arguments).current_dir(place.dir()), Deadline::default());
        assert!(finished.status.success(), "{}", finished.stderr);
    };
    place.write("authority.key", authority.key());
    place.write("index", "");
    openssl(&["ocsp", "-issuer", "authority.crt", "-cert", "one.crt", "-reqout", "asked.der"]);
    let answer = ["-index", "index", "-rsigner", "authority.crt", "-rkey", "authority.key", "-CA", "authority.crt"];
    openssl(&[&["ocsp"][..], &answer, &["-reqin", "asked.der", "-respout", "answer.der", "-ndays", "7"]].concat());
    let config = server(&(certificate("one") + "ssl_stapling on; ssl_stapling_file {dir}/answer.der;"));
    let world = world(place, &config);
    let said = s_client(&world, &get("/", "one.test"), &["-status"]);
    assert_eq!(line(&said, "OCSP response: ").trim(), "");
    assert!(said.contains("OCSP Response Status: successful"), "{said}");
}

#[test]
fn what_is_no_handshake_ends_with_an_alert_and_a_line() {
    let (place, _) = place();
    let world = world(place, &server(&certificate("one")));
    let mut client = Client::connect(world.at(8443));
    client.send(b"\x16\x03\x01\x00\x05hello and more that makes no sense");
    let answer = client.read_to_close();
    assert_eq!(answer.first(), Some(&0x15), "an alert: {answer:?}");
    world.error_log_shows("SSL_do_handshake() failed (SSL: ");
    let mut client = Client::connect(world.at(8443));
    client.send(b"\x16\x03\x01\x02\x00\x01\x00").half_close();
    client.read_to_close();
    world.error_log_shows("peer closed connection in SSL handshake while SSL handshaking, client: ");
    assert_eq!(curl(&world, "https://one.test:8443/", &[]), "hi");
}

#[test]
fn a_handshake_has_as_long_as_a_requests_head() {
    let (place, _) = place();
    let world = world(place, &server(&(certificate("one") + "client_header_timeout 1s;")));
    let began = Instant::now();
    let mut silent = Client::connect(world.at(8443));
    let mut slow = Client::connect(world.at(8443));
    slow.send(b"\x16\x03\x01\x02\x00\x01\x00");
    silent.read_to_close();
    slow.read_to_close();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(950) && took < Duration::from_secs(5), "{took:?}");
    world.error_log_shows("client timed out (110: Connection timed out) while SSL handshaking, client: ");
}

#[test]
fn a_client_that_asks_for_another_handshake_gets_none() {
    let (place, _) = place();
    let world = world(place, &server(&certificate("one")));
    // A line of `R` alone makes s_client begin it.
    let mut command = Command::new("sh");
    let script = "(printf 'GET / HTTP/1.1\\r\\nHost: one.test\\r\\n\\r\\n'; sleep 1; printf 'R\\n'; sleep 1) \
                  | timeout 10 openssl s_client -tls1_2 -connect \"$0\"";
    let finished = run(command.args(["-c", script, &world.at(8443).to_string()]), Deadline::default());
    let said = finished.stdout + &finished.stderr;
    assert!(said.contains("RENEGOTIATING") && said.contains("no renegotiation"), "{said}");
    assert_eq!(curl(&world, "https://one.test:8443/", &[]), "hi");
}
