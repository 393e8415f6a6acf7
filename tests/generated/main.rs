//! Generated differential tests: thousands of requests to server blocks that chance has put together, answered by the real
//! nginx and by Culvert alike: status, `Location`, body, and the request line that the upstream saw.
//!
//! ```text
//! cargo test --test generated                                          a few thousand requests
//! GENERATED_CASES=200000 GENERATED_SEED=7 cargo test --test generated  more, and others
//! ```
//!
//! What differs is printed with its server block; made small by hand, it becomes a case of `tests/differential`.

mod configuration;
mod dice;
mod requests;

use configuration::Server;
use culvert_testkit::{Backend, Client, Gateway, Place, Program};
use dice::Dice;
use std::collections::HashSet;
use std::time::Duration;

/// How many server blocks one configuration has, and how many requests it is asked.
const SERVERS: usize = 60;
const REQUESTS: usize = 3_000;

#[test]
fn what_chance_puts_together_is_answered_as_by_nginx() {
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
    };
    let (seed, cases) = (number("GENERATED_SEED", 1), number("GENERATED_CASES", 2 * REQUESTS as u64));
    let rounds = cases.div_ceil(REQUESTS as u64);
    let differing: Vec<String> = (0..rounds).flat_map(|round| compare(seed.wrapping_add(round))).collect();
    let shown = differing.iter().take(8).map(String::as_str).collect::<Vec<_>>().join("\n\n");
    assert!(
        differing.is_empty(),
        "{} servers of {} answer differently:\n{shown}",
        differing.len(),
        rounds * SERVERS as u64
    );
}

/// Asks both gateways the same, with one configuration. Returns what differs.
fn compare(seed: u64) -> Vec<String> {
    let mut dice = Dice::new(seed);
    let servers: Vec<Server> = (0..SERVERS).map(|number| configuration::server(&mut dice, number)).collect();
    let merge = dice.pick(&["on", "on", "off"]);
    let asked: Vec<(usize, String)> =
        (0..REQUESTS).map(|_| (dice.below(SERVERS), requests::target(&mut dice))).collect();
    let judge = answers(&Program::Nginx, &servers, merge, &asked);
    let ours = answers(&Program::culvert(env!("CARGO_BIN_EXE_culvert")), &servers, merge, &asked);
    let pairs = asked.iter().zip(judge.iter().zip(&ours));
    let mut told = HashSet::new();
    // One difference of a server is enough; it mostly has more of the same kind.
    let differing = pairs.filter(|((server, _), (judge, ours))| judge != ours && told.insert(*server));
    differing
        .map(|((server, target), (judge, ours))| {
            let server = &servers[*server];
            format!(
                "seed {seed}, merge_slashes {merge}\n{}\nGET {target}\nnginx:   {judge}\nculvert: {ours}",
                server.text
            )
        })
        .collect()
}

fn answers(program: &Program, servers: &[Server], merge: &str, asked: &[(usize, String)]) -> Vec<String> {
    let place = Place::new();
    let _backend = Backend::start(place.at(9001), |conversation| {
        while let Some(request) = conversation.request() {
            let line = request.head.raw.split(|&byte| byte == b'\r').next().unwrap_or_default();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", line.len());
            conversation.send([head.as_bytes(), line].concat());
        }
    });
    let blocks: Vec<&str> = servers.iter().map(|server| server.text.as_str()).collect();
    // The first server gives variables that nothing else may define their names.
    let config = format!(
        "worker_processes 1; events {{ worker_connections 512; }}\nerror_log {{dir}}/error.log crit;\nhttp {{\n\
         access_log off; server_tokens off; keepalive_requests 1000000; merge_slashes {merge}; variables_hash_max_size 4096;\n\
         server {{ listen {{address}}:8080; set $v \"\"; set $b \"\"; if ($uri ~ \"(?<n>.)\") {{ return 400; }} }}\n{}\n}}\n",
        blocks.join("\n")
    );
    let config = config.replace("{backend}", "{address}:9001");
    let _gateway = Gateway::start(program, &place, &config);
    let address = place.address().to_string();
    let mut client = connect(&place);
    let ask = |(server, target): &(usize, String)| {
        let name = &servers[*server].name;
        let told = answer(&mut client, target, name);
        if !told.keeps {
            client = connect(&place);
        }
        told.text.replace(&address, "ADDRESS")
    };
    asked.iter().map(ask).collect()
}

fn connect(place: &Place) -> Client {
    let mut client = Client::connect(place.at(8080));
    client.patience(Duration::from_secs(20));
    client
}

/// What a gateway answered, and whether the connection may be used again.
struct Told {
    text: String,
    keeps: bool,
}

fn answer(client: &mut Client, target: &str, host: &str) -> Told {
    client.try_send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let head = match client.wire().take_head() {
        Ok(Some(head)) => head,
        Ok(None) => return Told { text: "closed".into(), keeps: false },
        Err(error) => return Told { text: format!("no answer: {error}"), keeps: false },
    };
    let body = client.wire().take_body(head.response_framing("GET"));
    let body = body.map_or_else(|error| error.to_string(), |body| shown(&body.bytes));
    let headers = ["location", "x-if"].map(|name| head.all(name).join("+"));
    let keeps = head.header("connection").is_none_or(|value| value != "close");
    Told { text: format!("{} location=[{}] if=[{}] {body}", head.status(), headers[0], headers[1]), keeps }
}

/// A body; of an error page the title alone, since each gateway signs its own.
fn shown(body: &[u8]) -> String {
    let text = body.escape_ascii().to_string();
    match text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")) {
        Some((title, _)) => format!("[{title}]"),
        None => text,
    }
}
