//! Writes what was seen as lines, without what may differ from run to run: dates, names and versions of the gateways,
//! the order and case of header names, the sizes of chunks.

use culvert_testkit::{Connection, Request, Response};
use flate2::read::MultiGzDecoder;
use std::io::Read;

/// Above this length a body is told by its length and a checksum.
const BODY_SHOWN_MAX: usize = 1_500;

/// Puts one name for both gateways' in `Server` headers and error pages, and gives how many bytes that took from each
/// body; `Content-Length` is corrected as well.
pub(crate) fn hide_gateway_names(responses: &mut [Response]) -> Vec<isize> {
    responses.iter_mut().map(hide_gateway_name).collect()
}

fn hide_gateway_name(response: &mut Response) -> isize {
    let mut shrunk = 0;
    if let Some((before, name, after)) = signature(&response.body.bytes) {
        shrunk = isize::try_from(name).expect("a short name") - isize::try_from(GATEWAY.len()).expect("a short name");
        response.body.bytes = [&before[..], GATEWAY.as_bytes(), &after[..]].concat();
    }
    for (name, value) in &mut response.head.headers {
        match name.to_ascii_lowercase().as_str() {
            "server" if value.starts_with("nginx") || value.starts_with("culvert") => GATEWAY.clone_into(value),
            "date" | "last-modified" if value.ends_with(" GMT") => "DATE".clone_into(value),
            // Those of `epoch` and `max` stay.
            "expires" if value.ends_with(" GMT") && !value.contains("1970") && !value.contains("2037") => {
                "DATE".clone_into(value)
            }
            "content-length" => {
                if let Ok(length) = value.parse::<isize>() {
                    *value = (length - shrunk).to_string();
                }
            }
            _ => {}
        }
    }
    shrunk
}

/// What stands for `nginx` and `culvert`, with or without a version.
const GATEWAY: &str = "gateway";

/// What stands before, how long is, and what stands after the gateway's name at the foot of an error page.
fn signature(body: &[u8]) -> Option<(Vec<u8>, usize, Vec<u8>)> {
    const BEFORE: &[u8] = b"<hr><center>";
    let start = body.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    let length = body[start..].iter().position(|byte| *byte == b'<')?;
    let name = &body[start..start + length];
    let ours = name.starts_with(b"nginx") || name.starts_with(b"culvert");
    ours.then(|| (body[..start].to_vec(), length, body[start + length..].to_vec()))
}

/// What came to the client.
pub(crate) fn responses(responses: &[Response], rest: &[u8], ending: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for response in responses {
        lines.push(format!("< {}", response.head.start_line));
        lines.extend(headers(&response.head.headers).into_iter().map(|header| format!("< {header}")));
        let plain = decompressed(response);
        lines
            .extend(body(plain.as_deref().unwrap_or(&response.body.bytes)).into_iter().map(|line| format!("< {line}")));
        lines.extend(headers(&response.body.trailers).into_iter().map(|trailer| format!("< [trailer] {trailer}")));
        if !response.body.complete {
            lines.push("< [the body is cut]".to_owned());
        }
    }
    lines.extend(body(rest).into_iter().map(|line| format!("< {}", line.replace("[body]", "[rest]"))));
    lines.push(format!("< {ending}"));
    lines
}

/// What a compressed body says: the compressed bytes are up to the compressor.
fn decompressed(response: &Response) -> Option<Vec<u8>> {
    let mut plain = b"from gzip: ".to_vec();
    let mut headers = response.head.headers.iter();
    headers.find(|(name, value)| name.eq_ignore_ascii_case("content-encoding") && value == "gzip")?;
    MultiGzDecoder::new(&response.body.bytes[..]).read_to_end(&mut plain).ok()?;
    let text = String::from_utf8_lossy(&plain);
    let hide = |text: String, name: &str| text.replace(&format!("<center>{name}</center>"), "<center>gateway</center>");
    Some(hide(hide(text.into_owned(), "nginx"), "culvert").into_bytes())
}

/// What a backend saw.
pub(crate) fn requests(name: &str, requests: &[Request], connections: &[Connection]) -> Vec<String> {
    let mut lines = Vec::new();
    for request in requests {
        lines.push(format!("{name} > {}", request.head.start_line));
        lines.extend(headers(&request.head.headers).into_iter().map(|header| format!("{name} > {header}")));
        lines.extend(body(&request.body.bytes).into_iter().map(|line| format!("{name} > {line}")));
        lines.extend(headers(&request.body.trailers).iter().map(|trailer| format!("{name} > [trailer] {trailer}")));
    }
    let empty = connections.iter().filter(|connection| connection.received.is_empty()).count();
    if connections.len() > empty && requests.is_empty() {
        lines.push(format!("{name} > [a connection without a whole request]"));
    }
    lines
}

/// The access log's lines, in the order of the responses.
///
/// `chunked` says that an upstream sent chunks, whose framing `$upstream_response_length` counts or not.
pub(crate) fn log(log: &str, responses: &[Response], shrunk: &[isize], chunked: bool) -> Vec<String> {
    let mut interim = false;
    let mut answers = Vec::new();
    for (response, shrunk) in responses.iter().zip(shrunk) {
        if response.status() < 200 && response.status() != 101 {
            interim = true;
        } else {
            let has = |name| response.header(name).is_some();
            let framed = std::mem::take(&mut interim) || has("transfer-encoding") || has("content-encoding");
            answers.push(if framed { None } else { Some(*shrunk) });
        }
    }
    let mut answers = answers.into_iter();
    let lines = log.lines().map(|line| log_line(line, answers.next().unwrap_or(Some(0))));
    lines.map(|line| if chunked { without_upstream_length(line) } else { line }).collect()
}

fn without_upstream_length(line: String) -> String {
    match line.rfind(" [") {
        Some(at) if line.ends_with(']') => format!("{} [framed]", &line[..at]),
        _ => line,
    }
}

/// One line. `$body_bytes_sent` counts the framing of chunks, whose sizes are nobody's promise, and in nginx a 100 as well:
/// `shrunk` is `None` then. How far a parser had come with a request that it refused is nobody's promise either.
fn log_line(line: &str, shrunk: Option<isize>) -> String {
    let has = |statuses: &[&str]| statuses.iter().any(|status| line.contains(&format!("status={status} ")));
    let refused_head = has(&["400", "408", "414", "494", "501", "505"]) && line.contains("upstream=[-]");
    let refused = refused_head || has(&["413", "499"]);
    // How much of an endless request line is logged is up to the buffers.
    let line = match line.find("status=414 ") {
        Some(at) => &line[at..],
        None => line,
    };
    let words = line.split(' ').map(|word| match (word.split_once('='), shrunk) {
        (Some((name @ ("body_bytes" | "sent_length"), _)), None) => format!("{name}=framed"),
        (Some((name @ ("body_bytes" | "sent_length"), count)), Some(shrunk)) => match count.parse::<isize>() {
            Ok(count) if count > 0 => format!("{name}={}", count - shrunk),
            _ => word.to_owned(),
        },
        (Some(("request_length", _)), _) if refused => "request_length=?".to_owned(),
        (Some((name @ ("host" | "uri" | "args" | "server"), _)), _) if refused_head => format!("{name}=?"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Over HTTP/2, nginx's `$request_length` counts frames and compressed fields, which are nobody's promise.
pub(crate) fn without_request_length(line: &str) -> String {
    let hide =
        |word: &str| if word.starts_with("request_length=") { "request_length=?".to_owned() } else { word.to_owned() };
    line.split(' ').map(hide).collect::<Vec<_>>().join(" ")
}

/// The error log's lines from `[error]` upwards, from their level on and without process and connection numbers.
pub(crate) fn errors(log: &str) -> Vec<String> {
    let serious = |line: &&str| ["[error]", "[crit]", "[alert]", "[emerg]"].iter().any(|level| line.contains(level));
    log.lines()
        .filter(serious)
        .map(|line| {
            let line = &line[line.find('[').unwrap_or(0)..];
            let (level, rest) = line.split_once("] ").unwrap_or((line, ""));
            let text = rest.split_once(": ").map_or(rest, |(_, text)| text);
            let text = match text.split_once(' ') {
                Some((number, text)) if number.starts_with('*') => text,
                _ => text,
            };
            format!("error: {level}] {text}")
        })
        .collect()
}

/// Headers in the order of their names in lower case; those of one name stay in their order.
fn headers(headers: &[(String, String)]) -> Vec<String> {
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    headers.sort_by(|one, other| one.0.cmp(&other.0));
    headers.into_iter().map(|(name, value)| format!("{name}: {}", value.escape_debug())).collect()
}

fn body(bytes: &[u8]) -> Vec<String> {
    if bytes.is_empty() {
        return Vec::new();
    }
    if bytes.len() > BODY_SHOWN_MAX {
        let sum = bytes.iter().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        return vec![format!("[body] {} bytes with checksum {sum:x}", bytes.len())];
    }
    vec![format!("[body] {}", bytes.escape_ascii())]
}
