//! `server … resolve`.

use super::*;

#[test]
fn a_changed_answer_changes_where_requests_go() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let (world, dns) = world(&app(""), |dns| dns.says_addresses("app.test", 1, [one.ip()]));
    comes_to(&world, "one");
    dns.says_addresses("app.test", 1, [two.ip()]);
    comes_to(&world, "two");
    dns.says_addresses("app.test", 1, [one.ip(), two.ip()]);
    comes_to(&world, "one");
    comes_to(&world, "two");
}

#[test]
fn answers_hold_for_their_time_or_for_valid() {
    let one = Host::new("one");
    let prepare = |dns: &NameServer| dns.says_addresses("app.test", 3600, [one.ip()]);
    let (first, dns) = world(&app(""), prepare);
    comes_to(&first, "one");
    // One question for each family.
    assert_eq!(dns.times_asked("app.test"), 2);
    let config = app("").replace(":5353;", ":5353 valid=1s ipv6=off;");
    let (second, dns) = world(&config, prepare);
    comes_to(&second, "one");
    dns.is_asked_for("app.test", 2);
    assert!(dns.asked().iter().all(|question| question.kind == 1), "{:?}", dns.asked());
}

#[test]
fn a_failing_resolver_keeps_the_last_answer_and_is_told_of_once() {
    let one = Host::new("one");
    let (world, dns) = world(&app(""), |dns| dns.says_addresses("app.test", 1, [one.ip()]));
    comes_to(&world, "one");
    for manner in [Manner::Fails(2), Manner::Fails(5), Manner::Garbage] {
        dns.behaves("app.test", manner);
        dns.is_asked_for("app.test", 2);
        assert_eq!(world.get("/").text(), "one");
    }
    world.error_log_shows("app.test could not be resolved (2: Server failure), upstream: \"app\"");
    assert_eq!(lines_with(&world, "(2: Server failure)"), 1);
    world.error_log_shows("app.test could not be resolved (5: Operation refused), upstream: \"app\"");
    dns.behaves("app.test", Manner::Honest);
    world.error_log_shows("app.test is resolved again");
}

#[test]
fn a_silent_resolver_keeps_the_last_answer() {
    let one = Host::new("one");
    let config = app("").replace("resolver_timeout 2s", "resolver_timeout 500ms");
    let (world, dns) = world(&config, |dns| dns.says_addresses("app.test", 1, [one.ip()]));
    comes_to(&world, "one");
    dns.behaves("app.test", Manner::Silent);
    world.error_log_shows("app.test could not be resolved (110: Operation timed out)");
    assert_eq!(world.get("/").text(), "one");
}

#[test]
fn a_name_that_is_no_more_has_no_servers() {
    let one = Host::new("one");
    let (world, dns) = world(&app(""), |dns| dns.says_addresses("app.test", 1, [one.ip()]));
    comes_to(&world, "one");
    dns.forgets("app.test");
    answers_with(&world, 502);
    world.error_log_shows("app.test could not be resolved (3: Host not found)");
    world.error_log_shows("no live upstreams while connecting to upstream");
    dns.says_addresses("app.test", 1, [one.ip()]);
    comes_to(&world, "one");
}

#[test]
fn a_start_does_not_wait_for_a_name_that_can_not_be_resolved() {
    let (one, two) = (Host::new("one"), Host::new("two"));
    let (world, dns) = world(&app(&format!("server {}:{PORT};", two.ip())), |dns| {
        dns.behaves("app.test", Manner::Silent);
    });
    comes_to(&world, "two");
    dns.says_addresses("app.test", 1, [one.ip()]);
    dns.behaves("app.test", Manner::Honest);
    comes_to(&world, "one");
}

#[test]
fn tunnels_of_a_vanished_address_live_on() {
    let (one, two) = (Place::new(), Host::new("two"));
    let server = Server::bind(one.at(PORT));
    let (world, dns) = world(&app(""), |dns| dns.says_addresses("app.test", 1, [one.address().into()]));
    let (mut client, mut upstream) = server.upgrade(world.at(8080), "/room");
    dns.says_addresses("app.test", 1, [two.ip()]);
    world.error_log_shows(&format!("gone: [{}]", one.at(PORT)));
    comes_to(&world, "two");
    client.says(&Frame::text("still here"));
    upstream.hears_text("still here");
    upstream.says(&Frame::text("so am I"));
    client.hears_text("so am I");
}

#[test]
fn an_answer_that_is_cut_is_asked_for_again_over_tcp() {
    let one = Host::new("one");
    let (world, dns) = world(&app(""), |dns| {
        dns.says_addresses("app.test", 1, [one.ip()]);
        dns.behaves("app.test", Manner::Cut);
    });
    comes_to(&world, "one");
    assert!(dns.asked().iter().any(|question| question.tcp));
}

#[test]
fn lies_are_not_believed() {
    let (one, liar) = (Host::new("one"), Host::new("liar"));
    let lies = || vec![Data::from(liar.ip())];
    for manner in [Manner::WrongId(lies()), Manner::OtherQuestion(lies())] {
        let (world, dns) = world(&app(""), |dns| {
            dns.says_addresses("app.test", 1, [one.ip()]);
            dns.behaves("app.test", manner.clone());
        });
        comes_to(&world, "one");
        dns.is_asked_for("app.test", 2);
        assert_eq!(world.get("/").text(), "one", "{manner:?}");
    }
    // Addresses of another name, in an answer to the right question.
    let (world, dns) = world(&app(""), |dns| {
        dns.says_records(
            "app.test",
            1,
            vec![("other.test".into(), liar.ip().into()), ("app.test".into(), one.ip().into())],
        );
    });
    comes_to(&world, "one");
    dns.says_records("app.test", 1, vec![("other.test".into(), liar.ip().into())]);
    dns.is_asked_for("app.test", 2);
    assert_eq!(world.get("/").text(), "one");
}

#[test]
fn aliases_are_followed_but_not_in_circles() {
    let one = Host::new("one");
    let alias = |target: &str| [Data::Alias(target.into())];
    let (world, dns) = world(&app(""), |dns| {
        dns.says("app.test", 1, alias("b.test"));
        dns.says("b.test", 1, alias("c.test"));
        dns.says_addresses("c.test", 1, [one.ip()]);
    });
    comes_to(&world, "one");
    dns.says("c.test", 1, alias("app.test"));
    dns.is_asked_for("c.test", 8);
    assert_eq!(world.get("/").text(), "one");
    world.error_log_shows("app.test could not be resolved (Malformed answer)");
}

#[test]
fn the_next_name_server_is_asked_where_one_is_silent_or_fails() {
    for manner in [Manner::Silent, Manner::Fails(2), Manner::Garbage] {
        let one = Host::new("one");
        let other = Place::new();
        let second = NameServer::start(other.at(5353));
        second.says_addresses("app.test", 1, [one.ip()]);
        let config = app("").replace("{address}:5353", &format!("{{address}}:5353 {}:5353", other.address()));
        let (world, _dns) = world(&config, |dns| dns.behaves("app.test", manner));
        comes_to(&world, "one");
        second.is_asked_for("app.test", 2);
        assert_eq!(lines_with(&world, "could not be resolved"), 0, "{}", world.place().read("error.log"));
    }
}

#[test]
fn a_reload_forgets_no_answer() {
    let one = Host::new("one");
    let (world, dns) = world(&app(""), |dns| dns.says_addresses("app.test", 3600, [one.ip()]));
    comes_to(&world, "one");
    dns.behaves("app.test", Manner::Silent);
    let asked = dns.times_asked("app.test");
    let more = format!("{} server {{ listen {{address}}:8081; return 200 new; }}", app(""));
    world.reload(&more);
    let mut answers = Vec::new();
    Deadline::default().until("the new configuration", || {
        answers.push(world.get("/").text());
        let client = Client::try_connect(&world.at(8081).into(), None);
        client.is_ok().then_some(())
    });
    answers.push(world.get("/").text());
    assert!(answers.iter().all(|answer| answer == "one"), "{answers:?}");
    assert_eq!(dns.times_asked("app.test"), asked);
    // Another line about the name takes hold at once, without a question.
    world.reload(&more.replace(" resolve;", " resolve down;"));
    answers_with(&world, 502);
    world.reload(&more);
    comes_to(&world, "one");
}

#[test]
fn questions_and_answers_are_counted_by_zone() {
    let one = Host::new("one");
    let config = app("").replace(":5353;", ":5353 ipv6=off valid=1s status_zone=inner;")
        + "server { listen {address}:8081; location / { metrics; } }";
    let (world, dns) = world(&config, |dns| dns.says_addresses("app.test", 1, [one.ip()]));
    comes_to(&world, "one");
    let counts = |line: &str| {
        let text = Client::connect(world.at(8081)).get("/").text();
        let sample = text.lines().find_map(|sample| sample.strip_prefix(line)).expect("the zone is counted");
        sample.trim().parse::<f64>().expect("a number")
    };
    assert!(counts("culvert_resolver_requests_total{zone=\"inner\",kind=\"name\"}") >= 1.0);
    assert!(counts("culvert_resolver_responses_total{zone=\"inner\",code=\"noerror\"}") >= 1.0);
    assert_eq!(counts("culvert_resolver_requests_total{zone=\"inner\",kind=\"srv\"}"), 0.0);
    dns.forgets("app.test");
    let nxdomain = "culvert_resolver_responses_total{zone=\"inner\",code=\"nxdomain\"}";
    Deadline::default().until("an answer that there is no such name", || (counts(nxdomain) >= 1.0).then_some(()));
    // That a name is gone is an answer, in nginx as well: its addresses go.
    answers_with(&world, 502);
}
