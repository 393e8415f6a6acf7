//! socket.io, three replicas that share nothing: its client in Chromium begins with polling and goes on with a WebSocket, and
//! all of it has to come to one replica, by the cookie that the gateway sets.

use super::*;
use culvert_testkit::node::socket_io_server;

/// Has a page load the client that the replicas serve.
const LOAD: &str = "new Promise((loaded) => {
    const script = document.createElement('script');
    script.src = '/socket.io/socket.io.js';
    script.onload = () => loaded(true);
    script.onerror = () => loaded(false);
    document.head.append(script);
})";

#[test]
fn socket_io_upgrades_in_chromium_and_stays_on_its_replica() {
    let places: Vec<Place> = (0..3).map(|_| Place::new()).collect();
    let start = |place: &Place| socket_io_server(place.at(9001), &["--name", &place.address().to_string()]);
    let _replicas: Vec<_> = places.iter().map(start).collect();
    let servers = ["127.0.0.1:3001", "127.0.0.1:3002", "127.0.0.1:3003"];
    let servers: Vec<_> = servers.into_iter().zip(places.iter().map(|place| place.at(9001))).collect();
    let world = gateway(Place::new(), "socketio.conf", &servers, "listen {address}:8080;");
    // Any page of the site would do, and there is no other.
    let mut browser = Browser::open(&format!("http://{}/socket.io/socket.io.js", world.at(8080)));
    // The empty page that a browser begins with is complete, too.
    browser.until("location.pathname.endsWith('.js') && document.readyState === 'complete' && document.head !== null");
    assert_eq!(browser.evaluate(LOAD), true);
    browser.evaluate("void (window.socket = io())");
    browser.until("socket.io.engine?.transport.name === 'websocket'");
    let answer = browser.evaluate("socket.emitWithAck('question')");
    assert_eq!(answer["transport"], "websocket");
    for _ in 0..5 {
        assert_eq!(browser.evaluate("socket.emitWithAck('question')"), answer);
    }
    assert!(tunnel(&world, browser, "transport=websocket").ends_with("HTTP/1.1 "));
    let log = world.place().read("access.log");
    assert!(log.contains("transport=polling"), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("400 ")), "a replica did not know its session: {log}");
}
