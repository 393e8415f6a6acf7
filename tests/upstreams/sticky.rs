//! `sticky cookie`: a client stays with its server, whatever it sends, and nobody chooses a server who may not.

use super::*;

/// Asks with a cookie, and gives who answers and the cookie that is set.
#[track_caller]
fn asks(world: &World, cookie: &str) -> (String, String) {
    let mut client = Client::connect(world.at(8080));
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: other=1; {cookie}\r\nConnection: close\r\n\r\n"));
    let response = client.response();
    assert_eq!(response.status(), 200);
    (response.text(), set_cookie(&response))
}

/// `name=value` of the cookie that an answer sets.
fn set_cookie(response: &Response) -> String {
    let cookie = response.head.header("set-cookie").unwrap_or_default();
    cookie.split(';').next().unwrap_or_default().to_owned()
}

/// Comes without a cookie, and gives who answers and the cookie that is set.
#[track_caller]
fn comes_first(world: &World) -> (String, String) {
    asks(world, "nothing=here")
}

/// Requests with this cookie come to different servers.
#[track_caller]
fn is_not_bound(world: &World, cookie: &str) {
    let (first, _) = asks(world, cookie);
    let goes_elsewhere = (0..2).any(|_| asks(world, cookie).0 != first);
    assert!(goes_elsewhere, "{cookie:?} is bound to {first}");
}

#[track_caller]
fn is_bound(world: &World, cookie: &str, name: &str) {
    for _ in 0..4 {
        assert_eq!(asks(world, cookie).0, name);
    }
    let (mut peer, host) = opens(world, &format!("Cookie: {cookie}\r\n"));
    assert_eq!(host, name);
    peer.says(&Frame::text("hello"));
    peer.hears_text("hello");
}

/// A file of keys for `signed=`, and the lines that name it.
fn signed(place: &Place, more: &str) -> String {
    let keys = place.write("keys", "a key of at least thirty-two bytes, as it has to be\n");
    format!("sticky cookie srv path=/ signed={} {more};", keys.display())
}

const PLAIN: &str = "sticky cookie srv path=/;";

#[test]
fn a_client_stays_with_its_server_over_reloads_and_restarts() {
    let [one, two, three, four] = hosts(["one", "two", "three", "four"]);
    let place = Place::new();
    for lines in [PLAIN.to_owned(), signed(&place, "")] {
        let world = world!(&site(&[&one, &two, &three], &lines));
        let bound = [comes_first(&world), comes_first(&world), comes_first(&world)];
        bound.iter().for_each(|(name, cookie)| is_bound(&world, cookie, name));
        reloads(&world, &site(&[&four, &three, &two, &one], &lines));
        bound.iter().for_each(|(name, cookie)| is_bound(&world, cookie, name));
        drop(world);
        let world = world!(&site(&[&two, &four, &one, &three], &lines));
        bound.iter().for_each(|(name, cookie)| is_bound(&world, cookie, name));
    }
}

#[test]
fn cookies_that_nobody_gave_out_are_given_a_fresh_server() {
    let [one, two, three] = hosts(["one", "two", "three"]);
    let place = Place::new();
    for lines in [PLAIN.to_owned(), signed(&place, "")] {
        let world = world!(&site(&[&one, &two, &three], &lines));
        let (_, real) = comes_first(&world);
        let cut = &real[..real.len() - 1];
        let long = format!("{real}{}", "0".repeat(4_000));
        for forged in
            ["srv=", "srv=0123456789abcdef0123456789abcdef", "srv=\"/../%00\t", cut, &long, &format!("{real}.")]
        {
            is_not_bound(&world, forged);
            let (name, fresh) = asks(&world, forged);
            is_bound(&world, &fresh, &name);
        }
    }
}

#[test]
fn with_signed_a_client_can_not_aim_at_a_server() {
    let [one, two, three] = hosts(["one", "two", "three"]);
    let place = Place::new();
    let plain = world!(&site(&[&one, &two, &three], PLAIN));
    let world = world!(&site(&[&one, &two, &three], &signed(&place, "")));
    let (_, unsigned) = comes_first(&plain);
    is_not_bound(&world, &unsigned);
    // Nor by the signature of another upstream's key.
    let other = Place::new();
    other.write("keys", "another key, that has thirty-two bytes as well, or more\n");
    let lines = format!("sticky cookie srv path=/ signed={};", other.path("keys").display());
    let stranger = world!(&site(&[&one, &two, &three], &lines));
    is_not_bound(&world, &comes_first(&stranger).1);
    // A second key is for the time in which both are around.
    let both = format!("{}{}", other.read("keys"), place.read("keys"));
    let (name, old) = comes_first(&world);
    other.write("keys", both);
    reloads(&stranger, &site(&[&one, &two, &three], &lines));
    is_bound(&stranger, &old, &name);
}

#[test]
fn a_signed_cookie_is_over_when_its_time_is() {
    let [one, two] = hosts(["one", "two"]);
    let place = Place::new();
    let world = world!(&site(&[&one, &two], &signed(&place, "expires=2s")));
    let (name, cookie) = comes_first(&world);
    is_bound(&world, &cookie, &name);
    Deadline::default().until("a fresh pick", || (asks(&world, &cookie).0 != name).then_some(()));
}

#[test]
fn a_server_that_drains_keeps_who_is_bound_to_it() {
    let [one, two] = hosts(["one", "two"]);
    let world = world!(&site(&[&one, &two], PLAIN));
    let bound = [comes_first(&world), comes_first(&world)];
    let (_, cookie) = bound.iter().find(|(name, _)| name == "one").expect("they take turns");
    let (mut peer, _) = opens(&world, &format!("Cookie: {cookie}\r\n"));
    reloads(&world, &site_of(&[format!("{} drain", one.at()), two.at().to_string()], PLAIN));
    is_bound(&world, cookie, "one");
    for _ in 0..6 {
        assert_eq!(comes_first(&world).0, "two");
    }
    peer.says(&Frame::text("still here"));
    peer.hears_text("still here");
}

#[test]
fn who_is_bound_to_a_server_that_is_gone_gets_another_one() {
    let [mut one, two] = hosts(["one", "two"]);
    let world = world!(&site(&[&one, &two], PLAIN));
    let bound = [comes_first(&world), comes_first(&world)];
    let (_, cookie) = bound.iter().find(|(name, _)| name == "one").expect("they take turns");
    one.dies();
    let (name, fresh) = asks(&world, cookie);
    assert_eq!(name, "two");
    is_bound(&world, &fresh, "two");
}
