//! Certificates of clients.

use super::*;

const SAYS: &str = "return 200 \"verify $ssl_client_verify\\nserial $ssl_client_serial\\nsubject $ssl_client_s_dn\\nissuer $ssl_client_i_dn\\n\";";

/// A gateway that asks for certificates in this way, and clients' certificates in its place.
fn asking(directives: &str) -> World {
    let (place, authority) = place();
    authority.client(&place, "client", 0x1a2b, Kind::Good);
    authority.client(&place, "expired", 2, Kind::Expired);
    authority.client(&place, "revoked", 3, Kind::Good);
    authority.revoke(&place, &[3, 4]);
    Authority::new(&place, "stranger").client(&place, "strange", 5, Kind::Good);
    let between = authority.below(&place, "between");
    between.client(&place, "deep", 6, Kind::Good);
    let deeper = between.below(&place, "deeper");
    deeper.client(&place, "deepest", 7, Kind::Good);
    let chain = ["deepest", "deeper", "between"].map(|name| place.read(&format!("{name}.crt"))).concat();
    place.write("deepest.crt", chain);
    let chain = ["deep", "between"].map(|name| place.read(&format!("{name}.crt"))).concat();
    place.write("deep.crt", chain);
    let config = format!(
        "server {{ listen {{address}}:8443 ssl; server_name one.test; {} {directives} {SAYS} }}
         server {{ listen {{address}}:8443 ssl; server_name other.test; {directives} }}",
        certificate("one")
    );
    world(place, &config)
}

fn with(world: &World, name: &str) -> String {
    let file = |ending: &str| world.place().path(&format!("{name}.{ending}")).to_string_lossy().into_owned();
    curl(world, "https://one.test:8443/", &["--cert", &file("crt"), "--key", &file("key")])
}

const TRUST: &str = "ssl_client_certificate {dir}/authority.crt;";

#[test]
fn a_certificate_that_is_good_passes_and_is_described() {
    let world = asking(&format!("ssl_verify_client on; {TRUST}"));
    let said = with(&world, "client");
    assert_eq!(line(&said, "verify "), "SUCCESS");
    assert_eq!(line(&said, "serial "), "1A2B");
    assert_eq!(line(&said, "subject "), "CN=client,O=Culvert\\, tests");
    assert_eq!(line(&said, "issuer "), "CN=authority,O=Culvert\\, tests");
}

#[test]
fn one_that_is_missing_or_not_good_is_answered_with_what_is_wrong() {
    let world = asking(&format!("ssl_verify_client on; {TRUST}"));
    let said = curl(&world, "https://one.test:8443/", &[]);
    assert!(said.contains("<title>400 No required SSL certificate was sent</title>"), "{said}");
    world.error_log_shows("client sent no required SSL certificate while reading client request headers, client: ");
    for (name, code, why) in
        [("expired", 10, "certificate has expired"), ("strange", 20, "unable to get local issuer certificate")]
    {
        let said = with(&world, name);
        assert!(said.contains("<title>400 The SSL certificate error</title>"), "{said}");
        if World::is_nginx() && name == "strange" {
            // OpenSSL says the same of it in other words (21).
            continue;
        }
        world.error_log_shows(&format!(
            "client SSL certificate verify error: ({code}:{why}) while reading client request headers"
        ));
    }
}

#[test]
fn a_certificate_may_be_left_away_where_it_is_optional() {
    let world = asking(&format!("ssl_verify_client optional; {TRUST}"));
    assert_eq!(line(&curl(&world, "https://one.test:8443/", &[]), "verify "), "NONE");
    assert_eq!(line(&with(&world, "client"), "verify "), "SUCCESS");
    assert!(with(&world, "strange").contains("The SSL certificate error"));
}

#[test]
fn the_application_may_judge_who_signed_it() {
    let world = asking(&format!("ssl_verify_client optional_no_ca; {TRUST}"));
    assert!(line(&with(&world, "strange"), "verify ").starts_with("FAILED:unable to"));
    assert!(with(&world, "expired").contains("The SSL certificate error"));
}

#[test]
fn authorities_in_between_are_counted() {
    let world = asking(&format!("ssl_verify_client on; {TRUST}"));
    assert_eq!(line(&with(&world, "deep"), "verify "), "SUCCESS");
    assert!(with(&world, "deepest").contains("The SSL certificate error"));
    if !World::is_nginx() {
        // OpenSSL gives up the search for authorities, and says that it has not found one (20).
        world.error_log_shows("client SSL certificate verify error: (22:certificate chain too long)");
    }
    let world = asking(&format!("ssl_verify_client on; {TRUST} ssl_verify_depth 2;"));
    assert_eq!(line(&with(&world, "deepest"), "verify "), "SUCCESS");
}

#[test]
fn revoked_certificates_are_refused() {
    let world = asking(&format!("ssl_verify_client on; {TRUST} ssl_crl {{dir}}/authority.crl;"));
    assert_eq!(line(&with(&world, "client"), "verify "), "SUCCESS");
    assert!(with(&world, "revoked").contains("The SSL certificate error"));
    world.error_log_shows("client SSL certificate verify error: (23:certificate revoked)");
}

#[test]
fn a_request_for_another_server_than_the_handshakes_is_misdirected() {
    let world = asking(&format!("ssl_verify_client on; {TRUST}"));
    let file = |ending: &str| world.place().path(&format!("client.{ending}")).to_string_lossy().into_owned();
    let arguments = ["--cert", &file("crt"), "--key", &file("key"), "--header", "Host: other.test"];
    let said = curl(&world, "https://one.test:8443/", &arguments);
    assert!(said.contains("<title>421 Misdirected Request</title>"), "{said}");
    world.error_log_shows("client attempted to request the server name different from the one that was negotiated");
}
