//! How a case is written.
//!
//! A file is a sequence of sections, each under a line that begins with `== `:
//!
//! ```text
//! == config: TITLE             the inside of an `http` block, or (without a `server` block) of a server at {address}:8080;
//!                              `== config with errors:` compares the error log too; `== config over TLS:` and
//!                              `== config over HTTP/2:` say what the clients of its cases speak
//! == files                     what lies in {dir}, before the first case of a config: one line each, `PATH CONTENT`, or
//!                              `PATH/` for a folder, `PATH -> TARGET` for a link, `PATH |` for a pipe; behind the path
//!                              may stand `mode=0000`, `time=SECONDS` and `coding=gzip`
//! == file: NAME                a file of both gateways, at {dir}/NAME
//! == backend                   what the server at {backend} does on each connection; also backend-2 and backend-3.
//!                              In front of the first case: for all cases of the config. Behind a case: for that one.
//!                              Without this section it answers every request with its own name.
//! == case: NAME                what the client does
//! == test: NAME                what `-t` says about a configuration: the inside of a server, of an `http` block (with
//!                              `server {`) or a whole file (with `http {`). Culvert says all that is wrong, nginx the
//!                              first thing: that one is compared, its file and line, and every warning.
//! == test bytes: NAME          the same with a file that is written as requests are, with escapes and CR LF
//! == differs: REASON           how Culvert differs from nginx on purpose: the changed lines of the failure's diff
//! ```
//!
//! `{dead}` is an address where nobody listens. What client and backends do is a list of steps. A line that begins with
//! `@` is a step of its own; other lines are text to send, each with CR LF at its end unless its last byte is a backslash.
//! `\r \n \t \0 \s \\ \xHH` are escapes, and `{x*9000}` stands for that many of that character.
//!
//! A client's text whose first line is no whole request line is short for a request: `GET /uri`, headers, and after an
//! empty line a body. `HTTP/1.1`, `Host: localhost`, `Connection: close`, `Content-Length` and the empty line are added.
//! A whole head that stands alone gets its empty line too (a backend's as
//! well). `@raw` (at a backend `@now`) in front switches all that off. After its steps the client reads until the connection is closed.
//!
//! Over TLS the files of `secure.rs` lie in {dir}, `{certificate}` stands for the lines with the server's own, and a case may
//! begin with `@tls`, followed by arguments of `openssl s_client`, or with `@plain`, to speak without TLS. How requests over
//! HTTP/2 are written is told in `http2.rs`.
//!
//! | step | at the client | at a backend |
//! |---|---|---|
//! | `@response` | reads one response | |
//! | `@until TEXT` | reads until TEXT has arrived | the same |
//! | `@request` | | reads a request; each script begins with one, and starts again at its end |
//! | `@now` | | at the beginning: reads no request first |
//! | `@half-close` | ends the outgoing direction | the same |
//! | `@close`, `@reset` | closes | closes |
//! | `@hang` | | waits until the peer closes |
//! | `@echo` | | sends back what it reads until the peer closes |

use crate::http2::{self, Stream};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// One test.
#[derive(Debug)]
pub(crate) struct Case {
    /// `FILE::NAME`.
    pub(crate) name: String,
    /// `PATH:LINE`.
    pub(crate) place: String,
    pub(crate) config: Arc<Config>,
    /// What the client speaks.
    pub(crate) speech: Speech,
    pub(crate) client: Vec<Step>,
    /// The methods of the requests that the client sends, in order.
    pub(crate) methods: Vec<String>,
    pub(crate) backends: BTreeMap<String, Vec<Step>>,
    pub(crate) differs: Option<Differs>,
    /// The whole configuration of a case that only asks what `-t` says about it.
    pub(crate) tested: Option<Vec<u8>>,
}

/// What a client speaks.
#[derive(Debug)]
pub(crate) enum Speech {
    /// HTTP/1 in clear text.
    Plain,
    /// The same over TLS, with further arguments of `openssl s_client`.
    Tls(Vec<String>),
    /// HTTP/2 in clear text: the requests, one after another.
    Http2(Vec<Stream>),
}

/// What the cases of a config speak, unless they say otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Over {
    #[default]
    Tcp,
    Tls,
    Http2,
}

/// What both gateways are started with.
#[derive(Debug, Default)]
pub(crate) struct Config {
    pub(crate) text: String,
    /// Whether error log lines are compared.
    pub(crate) errors: bool,
    pub(crate) over: Over,
    /// The lines of `== files`.
    pub(crate) files: Vec<String>,
    backends: BTreeMap<String, Vec<Step>>,
    /// What `== file` says, by name.
    pub(crate) texts: BTreeMap<String, String>,
}

/// A difference on purpose.
#[derive(Debug)]
pub(crate) struct Differs {
    pub(crate) reason: String,
    /// The changed lines, with their signs.
    pub(crate) lines: Vec<String>,
}

/// Something that a client or a backend does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Response,
    Until(Vec<u8>),
    Request,
    HalfClose,
    Close,
    Reset,
    Hang,
    Echo,
}

impl Step {
    /// Changes a text that is sent; bytes that are no text are left alone.
    pub(crate) fn fill(&mut self, change: impl Fn(&str) -> String) {
        if let Step::Send(bytes) = self
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            *bytes = change(text).into_bytes();
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Send(bytes) if bytes.len() > 2_000 => write!(formatter, "sends {} bytes", bytes.len()),
            Step::Send(bytes) => write!(formatter, "sends \"{}\"", bytes.escape_ascii()),
            Step::Until(bytes) => write!(formatter, "reads until \"{}\"", bytes.escape_ascii()),
            other => write!(formatter, "{other:?}"),
        }
    }
}

impl Case {
    /// Whether a backend answers with chunks.
    pub(crate) fn sends_chunks(&self) -> bool {
        let mut steps = self.backends.values().flatten();
        steps.any(|step| matches!(step, Step::Send(bytes) if bytes.windows(9).any(|word| word == b"-Encoding")))
    }
}

/// A section as it stands in the file.
struct Section<'a> {
    line: usize,
    kind: &'a str,
    title: &'a str,
    lines: Vec<&'a str>,
}

/// Reads a file of cases.
pub(crate) fn read(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let group = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let mut reader = Reader { group, ..Reader::default() };
    for section in sections(&text) {
        let place = format!("{}:{}", path.display(), section.line);
        reader.take(&section, place);
    }
    reader.cases
}

/// What has been read of a file.
#[derive(Default)]
struct Reader {
    group: String,
    /// The config that is being read, until its first case.
    config: Config,
    /// The config of the cases that are being read.
    shared: Option<Arc<Config>>,
    cases: Vec<Case>,
}

impl Reader {
    fn take(&mut self, section: &Section<'_>, place: String) {
        match section.kind {
            config if config.starts_with("config") => {
                let (config, errors) = match config.strip_suffix(" with errors") {
                    Some(config) => (config, true),
                    None => (config, false),
                };
                let over = match config {
                    "config" => Over::Tcp,
                    "config over TLS" => Over::Tls,
                    "config over HTTP/2" => Over::Http2,
                    _ => panic!("{place}: unknown section {config:?}"),
                };
                self.config = Config { text: wrap(&section.lines.join("\n"), over), errors, over, ..Config::default() };
                self.shared = None;
            }
            "files" => self.config.files.extend(section.lines.iter().map(|&line| line.to_owned())),
            "case" => {
                let config = self.shared.get_or_insert_with(|| Arc::new(std::mem::take(&mut self.config)));
                self.cases.push(case(&self.group, place, section, config));
            }
            "test" | "test bytes" => self.cases.push(tested(&self.group, place, section)),
            "file" => {
                let text = section.lines.iter().map(|line| format!("{line}\n")).collect();
                self.config.texts.insert(section.title.to_owned(), text);
            }
            "differs" => {
                let case = self.cases.last_mut().unwrap_or_else(|| panic!("{place}: no case before"));
                case.differs = Some(differs(section));
            }
            backend if backend.starts_with("backend") => {
                let steps = backend_steps(&section.lines, &place);
                let backends = match (&self.shared, self.cases.last_mut()) {
                    (Some(_), Some(case)) => &mut case.backends,
                    _ => &mut self.config.backends,
                };
                backends.insert(backend.to_owned(), steps);
            }
            unknown => panic!("{place}: unknown section {unknown:?}"),
        }
    }
}

/// A case for `-t`. What stands around its text stands on the first and the last line, so that line numbers stay.
fn tested(group: &str, place: String, section: &Section<'_>) -> Case {
    let bytes: Vec<u8> = match section.kind {
        "test" => section.lines.join("\n").into_bytes(),
        _ => section.lines.iter().flat_map(|line| unescape(line)).collect(),
    };
    let has = |word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    let (before, after): (&[u8], &[u8]) = match () {
        () if has(b"http {") => (b"", b""),
        () if has(b"server {") => (b"events {} http { ", b" }"),
        () => (b"events {} http { server { ", b" } }"),
    };
    let whole = [before, &bytes, after].concat();
    let config = Config { text: String::from_utf8_lossy(&whole).into_owned(), ..Config::default() };
    Case {
        name: format!("{group}::{}", section.title),
        place,
        config: Arc::new(config),
        speech: Speech::Plain,
        client: Vec::new(),
        methods: Vec::new(),
        backends: BTreeMap::new(),
        differs: None,
        tested: Some(whole),
    }
}

fn differs(section: &Section<'_>) -> Differs {
    let lines = section.lines.iter().filter(|line| !line.is_empty()).map(|&line| line.to_owned()).collect();
    Differs { reason: section.title.to_owned(), lines }
}

fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("== ") {
            let (kind, title) = heading.split_once(':').unwrap_or((heading, ""));
            sections.push(Section { line: number + 1, kind: kind.trim(), title: title.trim(), lines: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            section.lines.push(line);
        }
    }
    for section in &mut sections {
        // One empty line parts two sections; those that mean something stand before it.
        if section.lines.last().is_some_and(|line| line.is_empty()) {
            section.lines.pop();
        }
    }
    sections
}

/// A text without a `server` block is the inside of one.
fn wrap(text: &str, over: Over) -> String {
    let more = match over {
        Over::Tcp => ";",
        Over::Tls => " ssl; {certificate}",
        Over::Http2 => " http2;",
    };
    if text.contains("server {") {
        text.to_owned()
    } else {
        format!("server {{ listen {{address}}:8080{more}\n{text}\n}}")
    }
}

fn case(group: &str, place: String, section: &Section<'_>, config: &Arc<Config>) -> Case {
    let name = format!("{group}::{}", section.title);
    let (speech, lines) = speech(&section.lines, config.over, &place);
    let client = if config.over == Over::Http2 { Vec::new() } else { client_steps(lines, &place) };
    let methods = match &speech {
        Speech::Http2(streams) => streams.iter().map(Stream::method).collect(),
        _ => methods(&client),
    };
    let backends = config.backends.clone();
    let config = Arc::clone(config);
    Case { name, place, config, speech, client, methods, backends, differs: None, tested: None }
}

/// What a case speaks, and its lines without the one that says so.
fn speech<'a>(lines: &'a [&'a str], over: Over, place: &str) -> (Speech, &'a [&'a str]) {
    let arguments = lines.first().and_then(|line| line.strip_prefix("@tls"));
    match (over, arguments) {
        (Over::Tcp, _) => (Speech::Plain, lines),
        (Over::Http2, _) => (Speech::Http2(http2::streams(lines, place)), lines),
        (Over::Tls, Some(words)) => (Speech::Tls(words.split_whitespace().map(str::to_owned).collect()), &lines[1..]),
        (Over::Tls, None) if lines.first() == Some(&"@plain") => (Speech::Plain, &lines[1..]),
        (Over::Tls, None) => (Speech::Tls(Vec::new()), lines),
    }
}

fn client_steps(lines: &[&str], place: &str) -> Vec<Step> {
    match lines.first() {
        Some(&"@raw") => steps(&lines[1..], place),
        Some(first) if first.starts_with('@') => steps(lines, place),
        Some(first) if is_request_line(first) => with_empty_line(steps(lines, place)),
        _ => {
            let (text, rest) =
                lines.split_at(lines.iter().position(|line| line.starts_with('@')).unwrap_or(lines.len()));
            let mut all = vec![Step::Send(short_request(text))];
            all.extend(steps(rest, place));
            all
        }
    }
}

/// A head that stands alone needs no empty line in the file.
fn with_empty_line(mut steps: Vec<Step>) -> Vec<Step> {
    if let Some(Step::Send(bytes)) = steps.first_mut()
        && bytes.ends_with(b"\r\n")
        && !bytes.windows(4).any(|window| window == b"\r\n\r\n")
    {
        bytes.extend(b"\r\n");
    }
    steps
}

fn backend_steps(lines: &[&str], place: &str) -> Vec<Step> {
    match lines.first() {
        Some(&"@now") => steps(&lines[1..], place),
        _ => std::iter::once(Step::Request).chain(with_empty_line(steps(lines, place))).collect(),
    }
}

fn steps(lines: &[&str], place: &str) -> Vec<Step> {
    let mut all = Vec::new();
    let mut text = Vec::new();
    for line in lines {
        let Some(step) = line.strip_prefix('@') else {
            text.extend(unescape(line));
            continue;
        };
        if !text.is_empty() {
            all.push(Step::Send(std::mem::take(&mut text)));
        }
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        all.push(match word {
            "response" => Step::Response,
            "until" => Step::Until(unescape(&format!("{rest}\\"))),
            "request" => Step::Request,
            "half-close" => Step::HalfClose,
            "close" => Step::Close,
            "reset" => Step::Reset,
            "hang" => Step::Hang,
            "echo" => Step::Echo,
            _ => panic!("{place}: unknown step {line:?}"),
        });
    }
    if !text.is_empty() {
        all.push(Step::Send(text));
    }
    all
}

/// Writes out a request in short form.
fn short_request(lines: &[&str]) -> Vec<u8> {
    let (line, rest) = lines.split_first().unwrap_or((&"GET /", &[]));
    let blank = rest.iter().position(|line| line.is_empty()).unwrap_or(rest.len());
    let (headers, body) = (&rest[..blank], rest.get(blank + 1..).unwrap_or_default());
    let mut body: Vec<u8> = body.iter().flat_map(|line| unescape(line)).collect();
    if body.ends_with(b"\r\n") {
        body.truncate(body.len() - 2);
    }
    let has = |name: &str| {
        headers.iter().any(|header| header.split(':').next().is_some_and(|other| other.eq_ignore_ascii_case(name)))
    };
    let mut request = unescape(&format!("{line} HTTP/1.1"));
    request.extend(if has("host") { "" } else { "Host: localhost\r\n" }.bytes());
    request.extend(headers.iter().flat_map(|line| unescape(line)));
    request.extend(if has("connection") { "" } else { "Connection: close\r\n" }.bytes());
    if !body.is_empty() && !has("content-length") && !has("transfer-encoding") {
        request.extend(format!("Content-Length: {}\r\n", body.len()).bytes());
    }
    request.extend(b"\r\n");
    request.extend(body);
    request
}

/// The bytes of a line.
pub(crate) fn unescape(line: &str) -> Vec<u8> {
    let (line, end) = match line.strip_suffix('\\') {
        Some(open) if !open.ends_with('\\') => (open, ""),
        _ => (line, "\r\n"),
    };
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (piece, used) = match first {
            '\\' => escape(rest),
            '{' => repetition(rest).unwrap_or_else(|| (b"{".to_vec(), 1)),
            other => (other.to_string().into_bytes(), other.len_utf8()),
        };
        bytes.extend(piece);
        rest = &rest[used..];
    }
    bytes.extend(end.bytes());
    bytes
}

fn escape(rest: &str) -> (Vec<u8>, usize) {
    let simple = match rest.as_bytes().get(1) {
        Some(b'r') => b'\r',
        Some(b'n') => b'\n',
        Some(b't') => b'\t',
        Some(b's') => b' ',
        Some(b'0') => 0,
        Some(b'\\') => b'\\',
        Some(b'x') => {
            let byte = rest.get(2..4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
            return (vec![byte.unwrap_or_else(|| panic!("bad escape at {rest:?}"))], 4);
        }
        _ => panic!("bad escape at {rest:?}"),
    };
    (vec![simple], 2)
}

/// `{x*9000}`.
fn repetition(rest: &str) -> Option<(Vec<u8>, usize)> {
    let inside = &rest[1..rest.find('}')?];
    let (what, count) = inside.split_once('*')?;
    Some((what.repeat(count.parse().ok()?).into_bytes(), inside.len() + 2))
}

/// The first words of all request lines in what is sent.
fn methods(steps: &[Step]) -> Vec<String> {
    let mut sent = Vec::new();
    for step in steps {
        if let Step::Send(bytes) = step {
            sent.extend_from_slice(bytes);
        }
    }
    let text = String::from_utf8_lossy(&sent);
    let lines = text.split('\n').map(str::trim_end).filter(|line| is_request_line(line));
    lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn is_request_line(line: &str) -> bool {
    let version = line.rsplit(' ').next().unwrap_or_default();
    line.starts_with(|first: char| first.is_ascii_uppercase()) && version.starts_with("HTTP/") && line.contains(' ')
}
