//! `proxy_pass` to a name that only the request knows.

use super::*;

fn site() -> String {
    format!(
        "server {{
             listen {{address}}:8080;
             resolver {{address}}:5353; resolver_timeout 1s;
             location / {{ proxy_pass http://$arg_host:{PORT}; }}
         }}"
    )
}

#[test]
fn a_request_goes_to_the_name_that_it_brings() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let (world, dns) = world(&site(), |dns| {
        dns.says_addresses("one.test", 3600, [one.ip()]);
        dns.says_addresses("two.test", 3600, [two.ip()]);
    });
    for _ in 0..3 {
        assert_eq!(world.get("/?host=one.test").text(), "one");
        assert_eq!(world.get("/?host=TWO.test").text(), "two");
    }
    assert_eq!((dns.times_asked("one.test"), dns.times_asked("two.test")), (2, 2));
}

#[test]
fn an_answer_is_asked_for_again_when_its_time_is_over() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let (world, dns) = world(&site(), |dns| dns.says_addresses("one.test", 1, [one.ip()]));
    assert_eq!(world.get("/?host=one.test").text(), "one");
    dns.says_addresses("one.test", 1, [two.ip()]);
    let asks = || (world.get("/?host=one.test").text() == "two").then_some(());
    Deadline::default().until("the other address", asks);
}

#[test]
fn a_name_that_can_not_be_resolved_is_a_bad_gateway() {
    let (world, dns) = world(&site(), |dns| {
        dns.behaves("broken.test", Manner::Fails(2));
        dns.behaves("silent.test", Manner::Silent);
        dns.says("empty.test", 60, []);
    });
    for (name, trouble) in [
        ("nobody.test", "3: Host not found"),
        ("empty.test", "3: Host not found"),
        ("broken.test", "2: Server failure"),
        ("silent.test", "110: Operation timed out"),
    ] {
        assert_eq!(world.get(&format!("/?host={name}")).status(), 502, "{name}");
        world.error_log_shows(&format!("{name} could not be resolved ({trouble})"));
    }
    drop(dns);
}

#[test]
fn many_who_ask_at_once_make_one_question() {
    let one = Host::new("one");
    let (world, dns) = world(&format!("worker_processes 2; {}", http(&site())), |dns| {
        dns.says_addresses("one.test", 60, [one.ip()]);
    });
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(world.at(8080))).collect();
    for client in &mut clients {
        client.send("GET /?host=one.test HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().text(), "one");
    }
    assert_eq!(dns.times_asked("one.test"), 2);
}

fn http(text: &str) -> String {
    format!("http {{ access_log {{dir}}/access.log; {text} }}")
}
