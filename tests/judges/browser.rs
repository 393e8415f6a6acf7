//! Chromium, from a page that the gateway itself serves.

use super::*;

/// What the page is told to do with its socket. A message of `length` bytes comes back as it went, or the promise fails.
const PAGE_SCRIPT: &str = "
    const socket = new WebSocket('ws://' + location.host + '/socket');
    socket.binaryType = 'arraybuffer';
    let answer;
    socket.onmessage = (event) => answer(event.data);
    socket.onerror = () => answer?.('an error');
    const opened = new Promise((resolve) => { socket.onopen = () => resolve(socket.extensions); });
    const closed = new Promise((resolve) => {
        socket.onclose = (event) => resolve([event.code, event.reason, event.wasClean]);
    });
    const ask = (message) => new Promise((resolve) => { answer = resolve; socket.send(message); });
    const letters = (length) => Array.from({ length }, (_, at) => 'aäб€🌍'.at((at * 7 + length) % 3)).join('');
    async function binary(length, noisy) {
        const sent = new Uint8Array(length).map((_, at) => noisy ? Math.random() * 256 : at % 5);
        const heard = new Uint8Array(await ask(sent));
        return heard.length === length && heard.every((byte, at) => byte === sent[at]);
    }
    async function text(length) {
        const sent = letters(length);
        return await ask(sent) === 'Server received from client: ' + sent;
    }";

fn page(directives: &str) -> String {
    let script = PAGE_SCRIPT.replace('\'', "\\'").replace('\n', " ");
    format!(
        "log_format told '$websocket_close_code ($websocket_close_reason) $websocket_closed_by $websocket_close_cause \
             $websocket_violations $websocket_ping_rtt $websocket_extensions';
         access_log off;
         server {{
             listen {{address}}:8080;
             location /socket {{ proxy_pass http://{{address}}:9001; access_log {{dir}}/access.log told; {directives} }}
             location / {{
                 default_type text/html;
                 return 200 '<!DOCTYPE html><meta charset=utf-8><title>judge</title><script>{script}</script>';
             }}
         }}"
    )
}

/// Opens the page, and a socket from it: the extensions that were negotiated.
fn open(world: &World) -> (Browser, String) {
    let mut browser = Browser::open(&format!("http://{}/", world.at(8080)));
    browser.until("typeof opened === 'object'");
    let extensions = browser.evaluate("opened");
    (browser, extensions.as_str().expect("a list").to_owned())
}

#[test]
fn chromium_talks_with_compression_while_the_heartbeat_is_on() {
    let world = world!(&page("websocket_ping 50ms timeout=20s; websocket_validation enforce; proxy_read_timeout 1s;"));
    let echo = Echo::start(world.at(9001), &["--deflate", "--fragment", "5"]);
    let (mut browser, extensions) = open(&world);
    assert!(extensions.starts_with("permessage-deflate"), "{extensions}");
    for length in [1, 125, 126, 4_096, 65_535, 65_536, 262_144, 1 << 20] {
        for expression in
            [format!("text({length})"), format!("binary({length}, true)"), format!("binary({length}, false)")]
        {
            assert_eq!(browser.evaluate(&expression), true, "{expression}");
        }
    }
    // Longer than proxy_read_timeout, which nothing else can show to have passed.
    thread::sleep(Duration::from_millis(1_500));
    echo.until("ping");
    assert_eq!(browser.evaluate("text(10)"), true);
    browser.evaluate("socket.close(4001, 'that is all')");
    assert_eq!(browser.evaluate("closed"), json!([4001, "that is all", true]));
    assert_eq!(echo.until("close"), json!({"event": "close", "code": 4001, "reason": "that is all"}));
    let line = world.access_log_lines(1).remove(0);
    let rest = line.strip_prefix("4001 (that is all) client close 0 ").unwrap_or_else(|| panic!("{line}"));
    let (round_trip, extensions) = rest.split_once(' ').expect("two more values");
    assert!(round_trip.parse::<f64>().is_ok() && extensions.starts_with("permessage-deflate"), "{line}");
}

#[test]
fn chromium_sees_a_close_of_the_server_and_one_of_the_gateway_as_clean() {
    let world = world!(&page("websocket_max_message_size 10k;"));
    let _echo = Echo::start(world.at(9001), &["--deflate"]);
    let (mut browser, _) = open(&world);
    browser.evaluate("socket.send('/close 4444 the server says')");
    assert_eq!(browser.evaluate("closed"), json!([4444, "the server says", true]));
    let (mut browser, _) = open(&world);
    browser.evaluate("void ask(crypto.getRandomValues(new Uint8Array(20000)))");
    assert_eq!(browser.evaluate("closed"), json!([1009, "message too big", true]));
    let lines = world.access_log_lines(2);
    assert!(lines[1].starts_with("1009 (message too big) gateway limit 1 "), "{lines:?}");
}
