//! Whoever asks gets the answer to that question, however requests are pipelined, split, and spread over kept connections.

use crate::world::{End, World};
use culvert_engine::http1::{BodyDecoder, BodyLength};
use proptest::prelude::*;

const APP: &str = "upstream app { server backend-1; server backend-2; keepalive 3; }
    server {
        location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; }
        location /stream { proxy_pass http://app; proxy_request_buffering off; proxy_http_version 1.1; }
        location /here { return 200 $request_uri; }
        location /page { proxy_pass http://app; proxy_intercept_errors on; error_page 404 =200 /here$request_uri; }
    }";

#[derive(Debug, Clone, Copy)]
enum Framing {
    None,
    Sized,
    Chunked,
}

#[derive(Debug, Clone)]
struct Question {
    place: &'static str,
    method: &'static str,
    framing: Framing,
    body: usize,
}

/// How a server answers a question.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Sized,
    Chunked,
    /// With `Connection: close`, and a close.
    Last,
    /// Without a length, to the end of the connection.
    UntilClose,
    /// An interim response goes before.
    Interim,
    /// 404 with a body, which `/page` replaces.
    Missing,
}

fn question() -> impl Strategy<Value = Question> {
    let place = prop::sample::select(vec!["/app", "/stream", "/here", "/page"]);
    let method = prop::sample::select(vec!["GET", "POST", "PUT", "DELETE"]);
    let framing = prop::sample::select(vec![Framing::None, Framing::Sized, Framing::Chunked]);
    (place, method, framing, prop_oneof![0..40_usize, 10_000..40_000_usize])
        .prop_map(|(place, method, framing, body)| Question { place, method, framing, body })
}

fn manner() -> impl Strategy<Value = Manner> {
    use Manner::*;
    prop::sample::select(vec![Sized, Sized, Sized, Chunked, Chunked, Last, UntilClose, Interim, Missing])
}

/// The request for a question, `mark` in its path and its body.
fn ask(question: &Question, mark: &str) -> String {
    let Question { place, method, framing, body } = question;
    let text = format!("{mark} ").repeat(*body / 8);
    let (header, body) = match framing {
        Framing::None => (String::new(), String::new()),
        Framing::Sized => (format!("Content-Length: {}\r\n", text.len()), text),
        Framing::Chunked if text.is_empty() => ("Transfer-Encoding: chunked\r\n".into(), "0\r\n\r\n".into()),
        Framing::Chunked => {
            ("Transfer-Encoding: chunked\r\n".into(), format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len()))
        }
    };
    format!("{method} {place}/{mark} HTTP/1.1\r\nHost: a\r\n{header}\r\n{body}")
}

/// A server, and what it has heard so far.
struct Server {
    end: End,
    heard: Vec<u8>,
    gone: bool,
}

impl Server {
    /// Answers a question that has arrived whole with its own path. Returns whether there was one.
    fn serve(&mut self, manner: Manner) -> bool {
        if self.gone {
            return false;
        }
        self.heard.extend(self.end.hears_all());
        let Some((path, used)) = whole_request(&self.heard) else { return false };
        self.heard.drain(..used);
        let length = path.len();
        let answer = match manner {
            Manner::Sized => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}"),
            Manner::Chunked => {
                format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{path}\r\n0\r\n\r\n")
            }
            Manner::Last => format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{path}"),
            Manner::UntilClose => format!("HTTP/1.1 200 OK\r\n\r\n{path}"),
            Manner::Interim => {
                format!("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}")
            }
            Manner::Missing => format!("HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\n\r\n{path}"),
        };
        self.end.says(answer);
        if matches!(manner, Manner::Last | Manner::UntilClose) {
            self.end.half_closes();
            self.gone = true;
        }
        true
    }
}

/// The path of the first request in `bytes`, once it is there whole with its body, and its length.
fn whole_request(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head is text");
    let path = head.split(' ').nth(1).expect("a request line").to_owned();
    let head = head.to_lowercase();
    let sized =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map(|n| n.parse().expect("a number"));
    let length = match sized {
        Some(length) => BodyLength::Sized(length),
        None if head.contains("transfer-encoding: chunked") => BodyLength::Chunked,
        None => BodyLength::None,
    };
    let (mut decoder, mut body) = (BodyDecoder::new(length), Vec::new());
    let used = decoder.decode(&bytes[end..], 1 << 30, |data| body.extend_from_slice(data)).expect("a good body");
    let mark = path.rsplit('/').next().expect("a path has a slash");
    let body = String::from_utf8(body).expect("a body is text");
    assert!(body.split_whitespace().all(|word| mark.starts_with(word) || word == mark), "{path} has a stranger's body");
    decoder.is_done().then_some((path, end + used))
}

/// A browser, what it has still to say, and how many answers it has.
struct Asker {
    end: End,
    name: usize,
    unsaid: Vec<u8>,
    questions: usize,
    answers: usize,
}

impl Asker {
    fn new(world: &World, name: usize, questions: &[Question]) -> Asker {
        let text: String =
            questions.iter().enumerate().map(|(nth, question)| ask(question, &format!("{name}-{nth}"))).collect();
        let end = world.connect();
        Asker { end, name, unsaid: text.into_bytes(), questions: questions.len(), answers: 0 }
    }

    /// Says a piece, and checks the answers that arrived. Returns whether anything moved.
    fn act(&mut self, piece: usize) -> bool {
        let piece = self.unsaid.len().min(piece);
        let said = self.end.says_what_fits(&self.unsaid[..piece]);
        self.unsaid.drain(..said);
        let before = self.answers;
        while let Some(response) = self.end.hears_a_response_or_not() {
            let mark = format!("/{}-{}", self.name, self.answers);
            let body = String::from_utf8(response.body).expect("a path is text");
            assert!(body.ends_with(&mark), "browser {} expected the answer to {mark} and got {body:?}", self.name);
            self.answers += 1;
        }
        said > 0 || self.answers > before
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_question_gets_its_own_answer(
        questions in prop::collection::vec(prop::collection::vec(question(), 1..7), 1..4),
        manners in prop::collection::vec(manner(), 1..12),
        pieces in prop::collection::vec(prop_oneof![1..30_usize, 1_000..9_000_usize, Just(1 << 20)], 1..5),
    ) {
        let world = World::new(APP);
        let mut askers: Vec<_> = questions.iter().enumerate().map(|(name, all)| Asker::new(&world, name, all)).collect();
        let (mut manners, mut pieces) = (manners.into_iter().cycle(), pieces.into_iter().chain([5_000]).collect::<Vec<_>>().into_iter().cycle());
        let mut servers: Vec<Server> = Vec::new();
        let mut still = 0;
        while still < 20 && askers.iter().any(|asker| asker.answers < asker.questions) {
            let mut moved = false;
            for asker in &mut askers {
                moved |= asker.act(pieces.next().expect("it cycles"));
            }
            while let Some(end) = world.arrives() {
                servers.push(Server { end, heard: Vec::new(), gone: false });
                moved = true;
            }
            for server in &mut servers {
                moved |= server.serve(manners.next().expect("it cycles"));
            }
            still = if moved { 0 } else { still + 1 };
        }
        for asker in &askers {
            prop_assert_eq!(asker.answers, asker.questions, "browser {} waits", asker.name);
        }
    }
}
