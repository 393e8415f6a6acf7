//! OCSP stapling, with `openssl ocsp` as the responder and `openssl s_client -status` as the client.

use super::*;
use culvert_testkit::Process;

/// A responder, with what it is asked for in `index.txt` of the place.
struct Responder {
    process: Process,
    port: u16,
}

impl Responder {
    /// Answers for `authority` with the key and certificate `signer`. The certificate `one` has this state: `V` is good.
    fn start(place: &Place, signer: &str, state: char) -> Responder {
        let serial = run(
            Command::new("openssl").args(["x509", "-noout", "-serial", "-in"]).arg(place.path("one.crt")),
            Deadline::default(),
        );
        let serial = line(&serial.stdout, "serial=").to_owned();
        let since = if state == 'R' { "210101000000Z" } else { "" };
        place.write("index.txt", format!("{state}\t960101000000Z\t{since}\t{serial}\tunknown\t/CN=one\n"));
        let mut command = Command::new("openssl");
        command.args(["ocsp", "-port", "0", "-ndays", "1", "-index"]).arg(place.path("index.txt"));
        command.arg("-CA").arg(place.path("authority.crt")).arg("-rsigner").arg(place.path(&format!("{signer}.crt")));
        command.arg("-rkey").arg(place.path(&format!("{signer}.key")));
        let mut process = Process::start(&command, place.dir(), "responder");
        let output = process.stdout_until(" PID=", Deadline::default());
        let address = line(&output, "ACCEPT ").split(' ').next().unwrap_or_default();
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        Responder { process, port: port.expect("a port") }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

fn signing_place() -> Place {
    let (place, authority) = place();
    place.write("authority.key", authority.key());
    place
}

/// A server that trusts the authority of its certificate.
fn stapling(more: &str) -> String {
    format!(
        "server {{ listen {{address}}:8443 ssl; server_name one.test; {} ssl_stapling on;
         ssl_trusted_certificate {{dir}}/authority.crt; {more} return 200 hi; }}",
        certificate("one")
    )
}

/// What a client is shown beside the certificate, without asking twice.
fn shown(world: &World) -> String {
    let authority = world.place().path("authority.crt").to_string_lossy().into_owned();
    s_client(world, &get("/", "one.test"), &["-status", "-CAfile", &authority])
}

/// Waits until a client is shown an answer.
fn shown_at_last(world: &World) -> String {
    Deadline::default().until("a stapled answer", || {
        let said = shown(world);
        said.contains("OCSP Response Status: successful").then_some(said)
    })
}

const NOTHING: &str = "OCSP response: no response sent";

#[test]
fn the_responders_answer_is_shown_with_the_certificate() {
    let place = signing_place();
    let responder = Responder::start(&place, "authority", 'V');
    let config = stapling(&format!("ssl_stapling_verify on; ssl_stapling_responder {};", responder.url()));
    let world = world(place, &config);
    for version in ["-tls1_2", "-tls1_3"] {
        let said = shown_at_last(&world);
        assert!(said.contains("Cert Status: good") && said.contains("Verify return code: 0 (ok)"), "{version}: {said}");
    }
}

#[test]
fn the_responder_is_whom_the_certificate_names() {
    let (place, authority) = place();
    place.write("authority.key", authority.key());
    let responder = Responder::start(&place, "authority", 'V');
    authority.server_with_responder(&place, "named", &["one.test"], &responder.url());
    // The responder knows of `one` alone: it has no good word for the other, which shows that it was asked.
    let config = stapling("").replace("/one.", "/named.");
    let world = world(place, &config);
    if World::is_nginx() {
        shown(&world);
    }
    let line = world.error_log_shows("certificate status \"unknown\" in the OCSP response");
    let wanted = format!(
        "while requesting certificate status, responder: 127.0.0.1, peer: 127.0.0.1:{}, certificate: \"{}\"",
        responder.port,
        world.place().path("named.crt").display()
    );
    assert!(line.contains(&wanted), "{line}");
    assert!(shown(&world).contains(NOTHING));
}

#[test]
fn an_answer_that_is_not_good_is_not_shown() {
    let place = signing_place();
    let responder = Responder::start(&place, "authority", 'R');
    let world = world(place, &stapling(&format!("ssl_stapling_responder {};", responder.url())));
    if World::is_nginx() {
        shown(&world);
    }
    world.error_log_shows("certificate status \"revoked\" in the OCSP response while requesting certificate status");
    assert!(shown(&world).contains(NOTHING));
}

#[test]
fn who_answers_has_to_be_named_by_the_issuer_where_that_is_verified() {
    for (signer, verify, good) in [("named", "on", true), ("other", "on", false), ("other", "off", true)] {
        let (place, authority) = place();
        authority.responder(&place, "named", true);
        authority.responder(&place, "other", false);
        let responder = Responder::start(&place, signer, 'V');
        let more = format!("ssl_stapling_verify {verify}; ssl_stapling_responder {};", responder.url());
        let world = world(place, &stapling(&more));
        if good {
            assert!(shown_at_last(&world).contains("Cert Status: good"));
        } else {
            if World::is_nginx() {
                shown(&world);
            }
            world.error_log_shows("OCSP_basic_verify() failed (SSL: ");
            assert!(shown(&world).contains(NOTHING));
        }
    }
}

#[test]
fn an_answer_signed_by_a_stranger_is_not_shown() {
    let place = signing_place();
    let stranger = Authority::new(&place, "stranger");
    stranger.responder(&place, "strange", true);
    let responder = Responder::start(&place, "strange", 'V');
    let more = format!("ssl_stapling_verify on; ssl_stapling_responder {};", responder.url());
    let world = world(place, &stapling(&more));
    if World::is_nginx() {
        shown(&world);
    }
    world.error_log_shows("OCSP_basic_verify() failed (SSL: ");
    assert!(shown(&world).contains(NOTHING));
}

#[test]
fn an_answer_outlives_its_responder_and_a_reload() {
    if World::is_nginx() {
        // Its new workers ask anew.
        return;
    }
    let place = signing_place();
    let mut responder = Responder::start(&place, "authority", 'V');
    let config = stapling(&format!("ssl_stapling_responder {};", responder.url()));
    let world = world(place, &format!("server {{ listen {{address}}:8080; return 200 old; }} {config}"));
    shown_at_last(&world);
    responder.process.signal(culvert_testkit::Signal::SIGKILL);
    responder.process.wait_exit(Deadline::default());
    world.reload_until(&format!("server {{ listen {{address}}:8080; return 200 new; }} {config}"), "/", "new");
    assert!(shown(&world).contains("Cert Status: good"));
}

#[test]
fn a_responder_that_cannot_be_reached_is_named_and_harms_nobody() {
    let (place, _) = place();
    let port = place.at(8099);
    let world = world(place, &stapling(&format!("ssl_stapling_responder http://{port}/;")));
    assert!(shown(&world).contains(NOTHING));
    // nginx, which connects in passing, says that recv() failed.
    let call = if World::is_nginx() { "recv" } else { "connect" };
    let wanted = format!(
        "{call}() failed (111: Connection refused) while requesting certificate status, responder: {}, peer: {port}",
        port.ip()
    );
    world.error_log_shows(&wanted);
}

#[test]
fn what_cannot_be_asked_about_is_a_warning() {
    let (place, authority) = place();
    authority.server_with_responder(&place, "secure", &["one.test"], "https://ocsp.test/");
    let server = |name: &str, more: &str| {
        format!("server {{ listen {{address}}:8443 ssl; {} ssl_stapling on; {more} }}", certificate(name))
    };
    let trust = "ssl_trusted_certificate {dir}/authority.crt;";
    let config = [
        server("one", ""),
        server("one", trust),
        server("secure", trust),
        server("one", &format!("{trust} ssl_stapling_responder http://nobody.invalid/;")),
    ];
    let mut world = world(place, &config.concat());
    let said = world.gateway().stderr();
    let file = |name: &str| world.place().path(name).display().to_string();
    let (one, secure) = (file("one.crt"), file("secure.crt"));
    for wanted in [
        format!("\"ssl_stapling\" ignored, issuer certificate not found for certificate \"{one}\""),
        format!("\"ssl_stapling\" ignored, no OCSP responder URL in the certificate \"{one}\""),
        format!(
            "\"ssl_stapling\" ignored, invalid URL prefix in OCSP responder \"https://ocsp.test/\" in the certificate \"{secure}\""
        ),
        format!(
            "\"ssl_stapling\" ignored, host not found in OCSP responder \"nobody.invalid/\" in the certificate \"{one}\""
        ),
    ] {
        assert!(said.contains(&wanted), "{wanted}\n{said}");
    }
}
