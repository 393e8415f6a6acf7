//! A configuration as large as they come: 500 server blocks with 200 locations each, two maps of 10,000 entries, and 20
//! rules for headers in every server; and requests that wander through it.

use std::fmt::Write;

const SERVERS: usize = 500;
const LOCATIONS: usize = 200;
const MAP_ENTRIES: usize = 10_000;
/// Half of them for the request, half for the response.
const HEADER_RULES: usize = 20;

/// How many requests a connection knows; it sends them in turn.
const REQUESTS: usize = 60;

/// What stands in place of `{maps}` in the template.
pub(super) fn maps() -> String {
    let mut text = String::new();
    for (nth, source) in ["$host", "$uri"].into_iter().enumerate() {
        push(&mut text, format_args!("map {source} $map{nth} {{\n    default none;\n"));
        for entry in 0..MAP_ENTRIES {
            push(&mut text, format_args!("    /key-{nth}/{entry} \"value {entry}\";\n"));
        }
        text.push_str("}\n");
    }
    text
}

/// What stands in place of `{servers}`. A quarter of the locations are prefixes, the others expressions.
pub(super) fn servers(listen: &str) -> String {
    let mut text = String::new();
    for server in 0..SERVERS {
        push(&mut text, format_args!("server {{\n    listen {listen};\n    server_name s{server}.example.com;\n"));
        text.push_str("    proxy_set_header Connection \"\";\n");
        for rule in 0..HEADER_RULES / 2 {
            push(&mut text, format_args!("    proxy_set_header X-Rule-{rule} \"$host-$map{}-{rule}\";\n", rule % 2));
            push(&mut text, format_args!("    add_header X-Rule-{rule} \"$uri-$map{}-{rule}\";\n", rule % 2));
        }
        for location in 0..LOCATIONS {
            let head = match location % 4 {
                0 => format!("~ ^/s{server}/app{location}/(?<id>[0-9]+)/([a-z]+)$"),
                1 => format!(r"~* \.(e{location}x|jpe?g{location})$"),
                2 => format!("/s{server}/p{location}/"),
                _ => format!("~ ^/s{server}/re{location}/.*-v[0-9.]+/"),
            };
            push(&mut text, format_args!("    location {head} {{ proxy_pass http://backend; }}\n"));
        }
        text.push_str("}\n");
    }
    text
}

fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    text.write_fmt(piece).expect("a string takes whatever is written to it");
}

/// The requests of the connection with this number: other servers and locations than its neighbours'.
pub(super) fn requests(connection: usize) -> Vec<Vec<u8>> {
    let request = |nth: usize| {
        let server = (connection * 31 + nth * 7) % SERVERS;
        let location = (connection * 17 + nth * 13) % LOCATIONS / 4 * 4;
        let target = match nth % 4 {
            0 => format!("/s{server}/app{location}/{nth}/abc"),
            1 => format!("/pictures/{nth}.jpeg{}", location + 1),
            2 => format!("/s{server}/p{}/some/file", location + 2),
            _ => format!("/s{server}/re{}/thing-v1.{nth}/x", location + 3),
        };
        format!("GET {target} HTTP/1.1\r\nHost: s{server}.example.com\r\nAccept: */*\r\n\r\n").into_bytes()
    };
    (0..REQUESTS).map(request).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_finds_a_location_of_its_server() {
        let text = servers("1.2.3.4:5");
        assert_eq!(text.matches("location ").count(), SERVERS * LOCATIONS);
        assert_eq!(maps().matches("value ").count(), 2 * MAP_ENTRIES);
        for request in requests(5) {
            let request = String::from_utf8(request).expect("text");
            let server = request.split("Host: ").nth(1).and_then(|host| host.split('.').next()).expect("a host");
            assert!(text.contains(&format!("server_name {server}.example.com;")), "{request}");
        }
    }
}
