//! Runs a case on one gateway and writes down all that can be seen from outside.

use crate::case::{Case, Over, Speech, Step};
use crate::secure::Secured;
use crate::{files, http2, render, secure, verdict};
use culvert_testkit::{
    Backend, Client, Conversation, Deadline, Gateway, Place, Program, Response, Signal, parse_responses,
};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

/// What is seen of one run.
#[derive(Debug, Default)]
pub(crate) struct Observation {
    /// The lines that are compared.
    pub(crate) lines: Vec<String>,
    /// What the gateway wrote to its error log and standard error, for a failure's message.
    pub(crate) complaints: String,
}

/// What came to the client, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ending: &'static str,
}

/// How long the client waits for the gateway to close. Far beyond all timeouts that the cases configure.
const PATIENCE: Duration = Duration::from_secs(8);

/// How long a graceful stop may take. nginx discards what a client still sends for five seconds.
const STOP_PATIENCE: Duration = Duration::from_secs(6);

/// The port of every server that a config does not place elsewhere.
const PORT: u16 = 8080;

/// The variables that are the same in every run.
const LOG_FORMAT: &str = r#"log_format case 'log: "$request" status=$status body_bytes=$body_bytes_sent '
    'request_length=$request_length host=$host uri=$uri args=$args server=$server_name pipe=$pipe '
    'done=$request_completion requests=$connection_requests upstream=[$upstream_addr] [$upstream_status] '
    '[$upstream_response_length]';"#;

/// Runs the case.
pub(crate) fn observe(program: &Program, case: &Case) -> Observation {
    let place = Place::new();
    if let Some(config) = &case.tested {
        return verdict::verdict(program, &place, config);
    }
    for (name, contents) in &case.config.texts {
        place.write(name, contents);
    }
    if case.config.over == Over::Tls {
        secure::write_files(&place);
    }
    let backends = start_backends(case, &place);
    files::write(&place, &case.config.files);
    let mut gateway = match Gateway::try_start(program, &place, &whole_config(case)) {
        Ok(gateway) => gateway,
        Err(refusal) => {
            let lines = vec![format!("did not start: {}", refusal.stderr.trim_end())];
            return Observation { lines, ..Observation::default() };
        }
    };
    let (mut responses, rest, ending) = converse_and_parse(case, &place);
    let unstopped = stop(&mut gateway);
    let shrunk = render::hide_gateway_names(&mut responses);

    let mut lines = render::responses(&responses, &rest, &ending);
    for (name, backend) in &backends {
        lines.extend(render::requests(name, &backend.requests(), &backend.connections()));
    }
    let log = render::log(&gateway.access_log(), &responses, &shrunk, case.sends_chunks());
    match case.speech {
        Speech::Http2(_) => lines.extend(log.iter().map(|line| render::without_request_length(line))),
        _ => lines.extend(log),
    }
    lines.extend(unstopped);
    if case.config.errors {
        lines.extend(render::errors(&gateway.error_log()));
    }
    let address = place.address().to_string();
    let folder = place.dir().display().to_string();
    let lines = lines.iter().map(|line| line.replace(&address, "ADDRESS").replace(&folder, "DIR")).collect();
    let complaints = format!("{}{}", gateway.error_log(), gateway.stderr());
    Observation { lines, complaints }
}

/// The configuration with what all cases share around it.
fn whole_config(case: &Case) -> String {
    let text = ports(&case.config.text).replace("{certificate}", secure::CERTIFICATE);
    format!(
        "worker_processes 1; events {{ worker_connections 256; }} http {{ {LOG_FORMAT}\n\
         access_log {{dir}}/access.log case; server_tokens off;\n{text}\n}}\n"
    )
}

/// Puts addresses for `{backend}`, `{backend-2}`, `{backend-3}` and `{dead}`.
fn ports(text: &str) -> String {
    let text = BACKENDS.iter().fold(text.to_owned(), |text, (name, port)| {
        text.replace(&format!("{{{name}}}"), &format!("{{address}}:{port}"))
    });
    text.replace("{dead}", "{address}:9999")
}

const BACKENDS: [(&str, u16); 3] = [("backend", 9001), ("backend-2", 9002), ("backend-3", 9003)];

fn start_backends(case: &Case, place: &Place) -> BTreeMap<&'static str, Backend> {
    let used = BACKENDS.iter().filter(|(name, _)| case.config.text.contains(&format!("{{{name}}}")));
    used.map(|&(name, port)| {
        let mut steps = case.backends.get(name).cloned().unwrap_or_else(|| default_steps(name));
        steps.iter_mut().for_each(|step| step.fill(|text| place.fill(&ports(text))));
        let backend =
            Backend::start(
                place.at(port),
                move |conversation| {
                    while play(conversation, &steps) && steps.contains(&Step::Request) {}
                },
            );
        (name, backend)
    })
    .collect()
}

fn default_steps(name: &str) -> Vec<Step> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", name.len() + 1);
    vec![Step::Request, Step::Send(format!("{head}{name}\n").into_bytes())]
}

/// Plays a backend's script once; false when the connection is over.
fn play(conversation: &mut Conversation, steps: &[Step]) -> bool {
    steps.iter().all(|step| play_step(conversation, step))
}

fn play_step(conversation: &mut Conversation, step: &Step) -> bool {
    match step {
        Step::Request => conversation.request().is_some(),
        Step::Send(bytes) => conversation.send(bytes),
        Step::HalfClose => conversation.half_close(),
        Step::Until(text) => {
            let Some(wire) = conversation.wire() else { return false };
            let found = wire.take_until(|bytes| position(bytes, text).map(|at| at + text.len()));
            matches!(found, Ok(Some(_)))
        }
        Step::Echo => {
            let deadline = Deadline::default();
            while let Some(wire) = conversation.wire()
                && matches!(wire.fill(deadline), Ok(1..))
            {
                let bytes = wire.take(wire.unread().len()).ok().flatten().unwrap_or_default();
                conversation.send(bytes);
            }
            false
        }
        Step::Hang => {
            conversation.read_to_close();
            false
        }
        Step::Reset => {
            conversation.reset();
            false
        }
        Step::Close | Step::Response => false,
    }
}

/// What the client was answered: the responses, what is none, and how it ended.
fn converse_and_parse(case: &Case, place: &Place) -> (Vec<Response>, Vec<u8>, String) {
    let (client, secured) = match &case.speech {
        Speech::Http2(streams) => {
            let (responses, ending) = http2::converse(Client::connect(place.at(PORT)), streams, PATIENCE);
            return (responses, Vec::new(), ending);
        }
        Speech::Plain => (Client::connect(place.at(PORT)), None),
        Speech::Tls(arguments) => {
            let (client, secured) = Secured::connect(place, PORT, arguments);
            (client, Some(secured))
        }
    };
    let received = converse(case, place, client);
    let methods: Vec<&str> = case.methods.iter().map(String::as_str).collect();
    let (responses, rest) = parse_responses(&received.bytes, &methods);
    let alert = secured.map(Secured::alert).unwrap_or_default();
    (responses, rest, format!("{}{alert}", received.ending))
}

/// Plays the client's script and reads until the gateway closes.
fn converse(case: &Case, place: &Place, mut client: Client) -> Received {
    client.patience(PATIENCE);
    let mut received = Received::default();
    for (index, step) in case.client.iter().enumerate() {
        let mut step = step.clone();
        step.fill(|text| place.fill(&ports(text)));
        match &step {
            // The gateway may have refused the beginning and closed; what it said is still read below.
            Step::Send(bytes) => drop(client.try_send(bytes)),
            Step::HalfClose => drop(client.wire().half_close()),
            Step::Response => read_response(&mut client, case, index, &mut received),
            Step::Until(text) => read_until(&mut client, text, &mut received),
            Step::Reset => {
                client.reset();
                return Received { ending: "[reset by the client]", ..received };
            }
            Step::Close => return Received { ending: "[closed by the client]", ..received },
            Step::Request | Step::Hang | Step::Echo => panic!("{}: a client has no such step", case.place),
        }
    }
    let wire = client.wire();
    let deadline = Deadline::after(PATIENCE);
    received.ending = loop {
        match wire.fill(deadline) {
            Ok(0) => break "[closed]",
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::TimedOut => break "[still open]",
            Err(_) => break "[reset]",
        }
    };
    received.bytes.extend_from_slice(wire.unread());
    received
}

/// Moves one whole response to `received`. What it answers is the next request that has no final response yet.
fn read_response(client: &mut Client, case: &Case, index: usize, received: &mut Received) {
    let before = case.client[..index].iter().filter(|step| **step == Step::Response).count();
    let method = case.methods.get(before).map_or("GET", String::as_str).to_owned();
    let whole = |bytes: &[u8]| {
        let (responses, rest) = parse_responses(bytes, &[&method]);
        let first = responses.first().filter(|response| response.body.complete)?;
        let framed = first.head.raw.len() + first.body.bytes.len().max(first.body.raw.len());
        (framed <= bytes.len() && responses.len() + rest.len() > 0).then_some(framed)
    };
    if let Ok(Some(bytes)) = client.wire().take_until(whole) {
        received.bytes.extend(bytes);
    }
}

fn read_until(client: &mut Client, text: &[u8], received: &mut Received) {
    if let Ok(Some(bytes)) = client.wire().take_until(|bytes| position(bytes, text).map(|at| at + text.len())) {
        received.bytes.extend(bytes);
    }
}

fn position(bytes: &[u8], text: &[u8]) -> Option<usize> {
    bytes.windows(text.len()).position(|window| window == text)
}

/// Stops the gateway gracefully, after which all its log lines are written. Gives a line if it does not stop.
fn stop(gateway: &mut Gateway) -> Option<String> {
    gateway.signal(Signal::SIGQUIT);
    let status = Deadline::after(STOP_PATIENCE).try_until(|| gateway.process().exited());
    match status {
        Some(status) if status.success() => None,
        Some(status) => Some(format!("[ended with {status}]")),
        None => Some("[did not stop gracefully]".to_owned()),
    }
}
