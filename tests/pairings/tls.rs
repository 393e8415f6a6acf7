//! `proxy_pass https://` and the `proxy_ssl_` directives: whom the gateway trusts, and who it says that it is.

use super::facts;
use culvert_testkit::node::{Client, server};
use culvert_testkit::{Authority, Backend, Gateway, Identity, Place, Program, World, self_signed};

/// A place with an authority, and a server at port 9001 that shows what it signed for `names`.
fn place_with_server(names: &[&str], options: &[&str]) -> (Place, Authority, culvert_testkit::node::Echo) {
    let place = Place::new();
    let authority = Authority::new(&place, "authority");
    let identity = authority.signs(names);
    let server = serve(&place, 9001, &identity, options);
    (place, authority, server)
}

fn serve(place: &Place, port: u16, identity: &Identity, options: &[&str]) -> culvert_testkit::node::Echo {
    server(place.at(port), &[&["--cert", identity.certificate(), "--key", identity.key()], options].concat())
}

/// A gateway whose one location speaks TLS to the server at port 9001.
#[track_caller]
fn gateway(place: Place, directives: &str) -> World {
    let config = format!(
        "upstream app {{ server {{address}}:9001; }}
         server {{ listen {{address}}:8080; location / {{ proxy_pass https://app; {directives} }} }}"
    );
    World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config)
}

const TRUST: &str = "proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/authority.pem;";

#[test]
fn a_request_goes_to_its_server_over_tls() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let world = gateway(place, "");
    let facts = facts(&world, "/path?a=b");
    assert_eq!((facts["version"].as_str(), facts["path"].as_str()), (Some("1.0"), Some("/path?a=b")));
    assert_eq!(facts["headers"]["host"], "app");
    assert_eq!((facts["tls"]["version"].as_str(), facts["tls"]["sni"].as_str()), (Some("TLSv1.3"), None));
}

#[test]
fn the_server_is_told_its_name_where_that_is_asked_for() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let world = gateway(place, "proxy_ssl_server_name on; proxy_ssl_name chat.example:444;");
    assert_eq!(facts(&world, "/")["tls"]["sni"], "chat.example");
}

#[test]
fn a_server_that_a_trusted_authority_stands_behind_is_trusted() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let world = gateway(place, TRUST);
    assert_eq!(world.get("/").status(), 200);
}

#[track_caller]
fn is_refused(world: &World, line: &str) {
    assert_eq!(world.get("/").status(), 502);
    let shown = world.error_log_shows(line);
    assert!(shown.contains("[error]") && shown.contains("upstream: \"https://"), "{shown}");
}

#[test]
fn a_server_that_nobody_trusted_stands_behind_is_502() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    Authority::new(&place, "other");
    let world = gateway(place, "proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/other.pem;");
    is_refused(
        &world,
        "upstream SSL certificate verify error: (20:unable to get local issuer certificate) while SSL handshaking to upstream",
    );
}

#[test]
fn a_self_signed_server_is_trusted_by_its_own_certificate_alone() {
    let place = Place::new();
    let identity = self_signed(&place, &["app"]);
    Authority::new(&place, "authority");
    let _server = serve(&place, 9001, &identity, &[]);
    let trusted = identity.certificate().to_owned();
    let config = format!(
        "upstream app {{ server {{address}}:9001; }}
         server {{ listen {{address}}:8080; proxy_ssl_verify on;
            location /own {{ proxy_pass https://app; proxy_ssl_trusted_certificate {trusted}; }}
            location / {{ proxy_pass https://app; proxy_ssl_trusted_certificate {{dir}}/authority.pem; }} }}"
    );
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config);
    assert_eq!(world.get("/own").status(), 200);
    is_refused(&world, "upstream SSL certificate verify error: (18:self-signed certificate) while SSL handshaking");
}

#[test]
fn a_server_of_another_name_is_502() {
    let (place, _authority, _server) = place_with_server(&["other.example"], &[]);
    let world = gateway(place, TRUST);
    is_refused(&world, "upstream SSL certificate does not match \"app\" while SSL handshaking to upstream");
}

#[test]
fn a_name_may_be_a_wildcard_s_or_come_of_a_variable() {
    let (place, _authority, _server) = place_with_server(&["*.chat.example"], &[]);
    let world = gateway(place, &format!("{TRUST} proxy_ssl_name $arg_room.chat.example;"));
    assert_eq!(world.get("/?room=one").status(), 200);
    assert_eq!(world.get("/?room=a.b").status(), 502);
}

#[test]
fn an_expired_certificate_is_502() {
    let place = Place::new();
    let identity = Authority::new(&place, "authority").signs_expired(&["app"]);
    let _server = serve(&place, 9001, &identity, &[]);
    let world = gateway(place, TRUST);
    is_refused(&world, "upstream SSL certificate verify error: (10:certificate has expired) while SSL handshaking");
}

#[test]
fn a_revoked_certificate_is_502() {
    let place = Place::new();
    let authority = Authority::new(&place, "authority");
    let (good, bad) = (authority.signs(&["app"]), authority.signs(&["app"]));
    authority.revokes("revoked.pem", &[&bad]);
    let _servers = [serve(&place, 9001, &good, &[]), serve(&place, 9002, &bad, &[])];
    let config = format!(
        "server {{ listen {{address}}:8080; proxy_ssl_name app; {TRUST} proxy_ssl_crl {{dir}}/revoked.pem;
            location /good {{ proxy_pass https://{{address}}:9001; }}
            location / {{ proxy_pass https://{{address}}:9002; }} }}"
    );
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config);
    assert_eq!(world.get("/good").status(), 200);
    is_refused(&world, "upstream SSL certificate verify error: (23:certificate revoked) while SSL handshaking");
}

#[test]
fn a_chain_may_be_as_long_as_proxy_ssl_verify_depth_says() {
    let place = Place::new();
    let root = Authority::new(&place, "authority");
    let (middle, lower) = {
        let middle = root.intermediate(&place, "middle");
        let lower = middle.intermediate(&place, "lower");
        (middle, lower)
    };
    let identity = lower.signs(&["app"]);
    let chain: String = [&identity.certificate, &lower.certificate, &middle.certificate]
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("it was just written"))
        .collect();
    std::fs::write(&identity.certificate, chain).expect("the place can be written to");
    let _server = serve(&place, 9001, &identity, &[]);
    let config = format!(
        "upstream app {{ server {{address}}:9001; }}
         server {{ listen {{address}}:8080; {TRUST}
            location /two {{ proxy_pass https://app; proxy_ssl_verify_depth 2; }}
            location / {{ proxy_pass https://app; }} }}"
    );
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config);
    assert_eq!(world.get("/two").status(), 200);
    is_refused(&world, "upstream SSL certificate verify error: (22:certificate chain too long) while SSL handshaking");
}

#[test]
fn the_gateway_shows_its_certificate_by_a_variable_too() {
    let place = Place::new();
    let authority = Authority::new(&place, "authority");
    let (blue, red) = (authority.signs(&["blue"]), authority.signs(&["red"]));
    for (name, identity) in [("blue", &blue), ("red", &red)] {
        for (from, to) in [(&identity.certificate, "crt"), (&identity.key, "key")] {
            std::fs::copy(from, place.path(&format!("{name}.{to}"))).expect("the place can be written to");
        }
    }
    let server_identity = authority.signs(&["app"]);
    let _server = serve(&place, 9001, &server_identity, &["--ca", authority.certificate()]);
    let config = "upstream app { server {address}:9001; keepalive 4; }
         server { listen {address}:8080; proxy_http_version 1.1; proxy_set_header Connection '';
            location /fixed { proxy_pass https://app;
                proxy_ssl_certificate {dir}/red.crt; proxy_ssl_certificate_key {dir}/red.key; }
            location /none { proxy_pass https://app; }
            location / { proxy_pass https://app;
                proxy_ssl_certificate {dir}/$arg_who.crt; proxy_ssl_certificate_key {dir}/$arg_who.key; } }";
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config);
    // Connections are kept, and never used for somebody else.
    for _ in 0..2 {
        assert_eq!(facts(&world, "/?who=blue")["tls"]["client"], "blue");
        assert_eq!(facts(&world, "/?who=red")["tls"]["client"], "red");
        assert_eq!(facts(&world, "/fixed")["tls"]["client"], "red");
        assert!(facts(&world, "/none")["tls"]["client"].is_null());
    }
    assert!(facts(&world, "/?who=blue")["tls"]["authorized"].as_bool().expect("a flag"));
    assert_eq!(world.get("/?who=nobody").status(), 502);
    world.error_log_shows("cannot load certificate \"");
}

#[test]
fn sessions_are_taken_up_again_unless_they_may_not_be() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let world = gateway(place, "");
    assert_eq!(facts(&world, "/")["tls"]["resumed"], false);
    assert_eq!(facts(&world, "/")["tls"]["resumed"], true);
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let world = gateway(place, "proxy_ssl_session_reuse off;");
    assert_eq!(facts(&world, "/")["tls"]["resumed"], false);
    assert_eq!(facts(&world, "/")["tls"]["resumed"], false);
}

#[test]
fn protocols_and_suites_are_those_of_the_directives() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let world = gateway(place, "proxy_ssl_protocols TLSv1.2; proxy_ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305;");
    let facts = facts(&world, "/");
    assert_eq!(facts["tls"]["version"], "TLSv1.2");
    assert_eq!(facts["tls"]["cipher"], "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
}

#[test]
fn a_server_without_tls_is_502() {
    let place = Place::new();
    let _backend = Backend::start(place.at(9001), |conversation| {
        if conversation.read_exact(1).is_some() && conversation.send("HTTP/1.1 400 Bad Request\r\n\r\n") {
            conversation.read_to_close();
        }
    });
    let world = gateway(place, "");
    is_refused(&world, "SSL_do_handshake() failed (SSL: ");
}

#[test]
fn a_server_that_leaves_the_handshake_is_502() {
    let place = Place::new();
    let _backend = Backend::start(place.at(9001), |conversation| _ = conversation.read_exact(1));
    let world = gateway(place, "");
    is_refused(&world, "peer closed connection in SSL handshake");
}

#[test]
fn a_server_that_leaves_the_handshake_unanswered_is_504() {
    let place = Place::new();
    let _backend = Backend::silent(place.at(9001));
    let world = gateway(place, "proxy_connect_timeout 200ms;");
    assert_eq!(world.get("/").status(), 504);
    world.error_log_shows("upstream timed out (110: Connection timed out) while SSL handshaking to upstream");
}

#[test]
fn the_next_server_is_asked_where_one_can_not_be_trusted() {
    let place = Place::new();
    let authority = Authority::new(&place, "authority");
    let (good, bad) = (authority.signs(&["app"]), authority.signs(&["other"]));
    let _servers = [serve(&place, 9001, &bad, &[]), serve(&place, 9002, &good, &[])];
    let config = format!(
        "upstream app {{ server {{address}}:9001; server {{address}}:9002; }}
         server {{ listen {{address}}:8080; location / {{ proxy_pass https://app; {TRUST} }} }}"
    );
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config);
    for _ in 0..3 {
        assert_eq!(world.get("/").status(), 200);
    }
}

#[test]
fn a_url_with_variables_may_lead_to_either() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let _plain = server(place.at(9002), &[]);
    let config = "server { listen {address}:8080;
        location / { proxy_pass $arg_scheme://{address}:$arg_port; proxy_ssl_server_name on; proxy_ssl_name app; } }";
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config);
    assert_eq!(facts(&world, "/?scheme=https&port=9001")["tls"]["sni"], "app");
    assert!(facts(&world, "/?scheme=http&port=9002")["tls"].is_null());
    assert_eq!(world.get("/?scheme=ftp&port=9002").status(), 500);
}

#[test]
fn a_limit_except_may_lead_to_tls() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let config = "upstream app { server {address}:9001; }
        server { listen {address}:8080; location / {
            proxy_ssl_protocols TLSv1.2; limit_except POST { proxy_pass https://app; } } }";
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config);
    assert_eq!(facts(&world, "/")["tls"]["version"], "TLSv1.2");
}

#[test]
fn an_if_may_lead_to_tls() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let config = "upstream app { server {address}:9001; }
        server { listen {address}:8080; location / {
            proxy_ssl_protocols TLSv1.2;
            if ($arg_tls) { proxy_pass https://app; break; } return 404; } }";
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), config);
    assert_eq!(world.get("/").status(), 404);
    assert_eq!(facts(&world, "/?tls=1")["tls"]["version"], "TLSv1.2");
}

#[test]
fn a_websocket_goes_over_tls() {
    let (place, _authority, _server) = place_with_server(&["app"], &[]);
    let world = gateway(place, TRUST);
    let mut client = Client::open(&format!("ws://{}/room", world.at(8080)), &[]);
    client.says("hello");
    client.hears("hello");
    client.does(&culvert_testkit::json!({"random": 3_000_000}));
    client.gets_back(3_000_000);
    client.does(&culvert_testkit::json!({"close": [4001, "enough"]}));
    assert_eq!(client.until("close")["code"], 4001);
}

#[test]
fn files_that_can_not_be_read_are_told_of_at_the_start() {
    let place = Place::new();
    std::fs::write(place.path("garbage.pem"), "nothing of use").expect("the place can be written to");
    let program = Program::culvert(env!("CARGO_BIN_EXE_culvert"));
    for (directives, line) in [
        ("proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/none.pem;", "SSL_CTX_load_verify_locations(\""),
        ("proxy_ssl_verify on; proxy_ssl_trusted_certificate {dir}/garbage.pem;", "SSL_CTX_load_verify_locations(\""),
        (
            "proxy_ssl_certificate {dir}/none.crt; proxy_ssl_certificate_key {dir}/none.key;",
            "cannot load certificate \"",
        ),
        ("proxy_ssl_password_file {dir}/none;", "open() \""),
    ] {
        let config = format!(
            "server {{ listen {{address}}:8080; location / {{ proxy_pass https://{{address}}:1; {directives} }} }}"
        );
        let refusal = Gateway::try_start(&program, &place, &config).expect_err("the file can't be read");
        assert!(refusal.stderr.contains("[emerg]") && refusal.stderr.contains(line), "{}", refusal.stderr);
    }
}

#[test]
fn health_checks_go_over_tls_and_judge_who_answers() {
    let place = Place::new();
    let authority = Authority::new(&place, "authority");
    let (good, bad) = (authority.signs(&["app"]), authority.signs(&["other"]));
    let _servers = [serve(&place, 9001, &good, &[]), serve(&place, 9002, &bad, &[])];
    let config = format!(
        "upstream app {{ server {{address}}:9001; server {{address}}:9002; }}
         server {{ listen {{address}}:8080; location / {{ proxy_pass https://app; {TRUST}
            health_check interval=100ms mandatory; }} }}"
    );
    let world = World::start_in(place, env!("CARGO_BIN_EXE_culvert"), &config);
    world.error_log_shows("upstream SSL certificate does not match \"app\" while SSL handshaking");
    let deadline = culvert_testkit::Deadline::default();
    deadline.until("the good server to be found well", || (world.get("/").status() == 200).then_some(()));
}
