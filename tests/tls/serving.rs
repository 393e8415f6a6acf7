//! Certificates, names, protocols.

use super::*;
use culvert_testkit::{Backend, Client};

#[test]
fn a_request_over_tls_is_one_like_another_with_another_scheme() {
    let (place, _) = place();
    let config = format!(
        "server {{ listen {{address}}:8443 ssl; server_name one.test; {}
         location / {{ return 200 \"$scheme $https $ssl_protocol $ssl_cipher $ssl_server_name $server_port\\n\"; }}
         location /away {{ return 301 /there; }} }}",
        certificate("one")
    );
    let world = world(place, &config);
    let said = curl(&world, "https://one.test:8443/", &["--tlsv1.2", "--tls-max", "1.2"]);
    assert_eq!(said, "https on TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384 one.test 8443\n");
    let said = curl(&world, "https://one.test:8443/away", &["--head"]);
    assert_eq!(line(&said, "Location: "), "https://one.test:8443/there");
    if !World::is_nginx() {
        let said = curl(&world, "https://one.test:8443/", &[]);
        assert_eq!(said, "https on TLSv1.3 TLS_AES_256_GCM_SHA384 one.test 8443\n");
    }
}

#[test]
fn the_server_and_its_certificate_are_chosen_by_the_name_in_the_handshake() {
    let (place, authority) = place();
    for (name, host) in [("two", "two.test"), ("wild", "*.wild.test"), ("regex", "r7.test")] {
        authority.server(&place, name, &[host], Kind::Good);
    }
    let server = |name: &str, hosts: &str| {
        let certificate = certificate(name);
        format!("server {{ listen {{address}}:8443 ssl; server_name {hosts}; {certificate} return 200 '{name}'; }}")
    };
    let servers = [
        server("one", "one.test"),
        server("two", "two.test"),
        server("wild", "*.wild.test"),
        server("regex", "~^r\\d+\\.test$"),
    ];
    let world = world(place, &servers.concat());
    for (host, name) in [("one.test", "one"), ("two.test", "two"), ("a.wild.test", "wild"), ("r7.test", "regex")] {
        assert_eq!(curl(&world, &format!("https://{host}:8443/"), &[]), name);
    }
    let said = s_client(&world, &get("/", "stranger.test"), &["-servername", "stranger.test"]);
    assert!(said.contains("CN = one") && said.ends_with("one") || said.contains("\none"), "{said}");
    let said = s_client(&world, &get("/", "two.test"), &["-noservername"]);
    assert!(
        said.contains("subject=CN = one") && said.contains("\ntwo"),
        "the request is for whom its Host says: {said}"
    );
}

#[test]
fn rsa_and_ecdsa_stand_side_by_side() {
    let (place, authority) = place();
    authority.server(&place, "rsa", &["one.test"], Kind::Rsa);
    let config = format!(
        "server {{ listen {{address}}:8443 ssl; {} {} return 200 hi; }}",
        certificate("rsa"),
        certificate("one")
    );
    let world = world(place, &config);
    for (suites, name) in [("aRSA", "ECDHE-RSA-AES256-GCM-SHA384"), ("aECDSA", "ECDHE-ECDSA-AES256-GCM-SHA384")] {
        let said = s_client(&world, &get("/", "one.test"), &["-tls1_2", "-cipher", suites]);
        assert_eq!(line(&said, "New, TLSv1.2, Cipher is "), name);
    }
    let said = s_client(&world, &get("/", "one.test"), &["-sigalgs", "RSA-PSS+SHA256"]);
    assert_eq!(line(&said, "Peer signature type: "), "RSA-PSS");
}

#[test]
fn the_order_of_ciphers_and_the_protocols_are_what_the_server_says() {
    let (place, _) = place();
    let config = format!(
        "ssl_protocols TLSv1.2; ssl_prefer_server_ciphers on; ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:HIGH:!aNULL;
         server {{ listen {{address}}:8443 ssl; {} ssl_ecdh_curve secp384r1; return 200 \"$ssl_curve\\n\"; }}",
        certificate("one")
    );
    let world = world(place, &config);
    let said = s_client(&world, &get("/", "one.test"), &["-tls1_2"]);
    assert_eq!(line(&said, "New, TLSv1.2, Cipher is "), "ECDHE-ECDSA-CHACHA20-POLY1305");
    assert_eq!(line(&said, "Server Temp Key: "), "ECDH, secp384r1, 384 bits");
    let refused = s_client(&world, &get("/", "one.test"), &["-tls1_3"]);
    assert!(refused.contains("alert protocol version"), "{refused}");
    let refused = s_client(&world, &get("/", "one.test"), &["-tls1_2", "-cipher", "AES128-SHA"]);
    assert!(refused.contains("alert handshake failure"), "{refused}");
}

#[test]
fn http2_is_offered_where_it_is_on() {
    let (place, _) = place();
    let server = |port: u16, more: &str| {
        format!(
            "server {{ listen {{address}}:{port} ssl {more} {} return 200 \"$ssl_alpn_protocol\"; }}",
            certificate("one")
        )
    };
    let config = server(8443, "; http2 on;") + &server(8444, ";");
    if World::is_nginx() {
        return;
    }
    let world = world(place, &config);
    assert_eq!(curl(&world, "https://one.test:8443/", &["--http2"]), "h2");
    assert_eq!(curl(&world, "https://one.test:8443/", &["--http1.1"]), "http/1.1");
    assert_eq!(curl(&world, "https://one.test:8444/", &["--http2"]), "http/1.1");
}

#[test]
fn plain_http_at_a_port_for_tls_is_told_so() {
    let (place, _) = place();
    let config = format!(
        "server {{ listen {{address}}:8443 ssl; {} return 200 hi; }}
         server {{ listen {{address}}:8444 ssl; {} error_page 497 =301 https://$host:8444$request_uri; return 200 hi; }}",
        certificate("one"),
        certificate("one")
    );
    let world = world(place, &config);
    let response = Client::connect(world.at(8443)).get("/");
    assert_eq!(response.status(), 400);
    assert!(response.text().contains("<center>The plain HTTP request was sent to HTTPS port</center>"));
    world
        .error_log_shows("client sent plain HTTP request to HTTPS port while reading client request headers, client: ");
    let response = Client::connect(world.at(8444)).get("/x?y");
    assert_eq!((response.status(), response.head.header("location")), (301, Some("https://localhost:8444/x?y")));
}

#[test]
fn a_server_may_refuse_all_handshakes() {
    let (place, _) = place();
    let config = format!(
        "server {{ listen {{address}}:8443 ssl default_server; ssl_reject_handshake on; }}
         server {{ listen {{address}}:8443 ssl; server_name one.test; {} return 200 hi; }}",
        certificate("one")
    );
    let world = world(place, &config);
    assert_eq!(curl(&world, "https://one.test:8443/", &[]), "hi");
    let refused = s_client(&world, "", &["-servername", "stranger.test"]);
    assert!(refused.contains("alert unrecognized name") || refused.contains("tlsv1 unrecognized name"), "{refused}");
    world.error_log_shows("handshake rejected while SSL handshaking, client: ");
}

#[test]
fn certificates_may_be_named_by_the_handshake() {
    let (place, authority) = place();
    authority.server(&place, "two", &["two.test"], Kind::Good);
    // Workers read them, and they are no longer root.
    for name in ["one", "two"] {
        let text = place.read(&format!("{name}.key"));
        place.write(&format!("{name}.test.key"), text);
        let text = place.read(&format!("{name}.crt"));
        place.write(&format!("{name}.test.crt"), text);
    }
    let config = "map $ssl_server_name $file { default $ssl_server_name; }
         server { listen {address}:8443 ssl; ssl_certificate {dir}/$file.crt; ssl_certificate_key {dir}/$file.key;
         return 200 $ssl_server_name; }";
    let world = world(place, config);
    for host in ["one.test", "two.test", "one.test"] {
        assert_eq!(curl(&world, &format!("https://{host}:8443/"), &[]), host);
    }
    let refused = s_client(&world, "", &["-servername", "stranger.test"]);
    assert!(refused.contains("alert internal error"), "{refused}");
    world.error_log_shows("cannot load certificate \"");
}

#[test]
fn large_responses_arrive_whole() {
    let (place, _) = place();
    let config = format!(
        "server {{ listen {{address}}:8443 ssl; {} ssl_buffer_size 4k; location / {{ proxy_pass http://{{address}}:9001; }} }}",
        certificate("one")
    );
    let world = world(place, &config);
    let body = "0123456789abcdef".repeat(200_000);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let _backend = Backend::answering(world.at(9001), head + &body);
    assert!(curl(&world, "https://one.test:8443/", &[]) == body);
    assert!(curl(&world, "https://one.test:8443/", &["--limit-rate", "3M"]) == body);
}
