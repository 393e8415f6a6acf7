//! A client of HTTP/2 in the tests' world.

pub(super) use crate::world::multiplexed::switching;
use crate::world::{End, World};
use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Method, Request, Response, Version};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// A connection to the gateway.
pub(super) struct Peer {
    sender: SendRequest<Bytes>,
    /// How the connection ended.
    end: Arc<Mutex<Option<Result<(), h2::Error>>>>,
}

/// A request that was sent.
pub(super) struct Asked {
    response: ResponseFuture,
    pub(super) send: SendStream<Bytes>,
}

/// A response whose head was heard.
pub(super) struct Answered {
    pub(super) head: Response<()>,
    pub(super) body: RecvStream,
}

/// A WebSocket, or what else is two directions of DATA.
pub(super) struct Tunnel {
    pub(super) send: SendStream<Bytes>,
    pub(super) receive: RecvStream,
}

impl Peer {
    /// Connects to `world`. What all streams together may send is no bound, as with browsers.
    pub(super) fn connect(world: &World) -> Peer {
        let mut builder = client::Builder::new();
        builder.initial_connection_window_size(16 << 20);
        let pipe = world.connect().into_pipe();
        let end = Arc::new(Mutex::new(None));
        let told = end.clone();
        let sender = world.runs(async {
            let (sender, connection) = builder.handshake(pipe).await.expect("the pipe is open");
            tokio::spawn(async move {
                let ended = connection.await;
                *told.lock().expect("nobody panics") = Some(ended);
            });
            sender
        });
        Peer { sender, end }
    }

    /// Sends a request; `body` whole, or nothing yet.
    pub(super) fn asks(&mut self, world: &World, request: Request<()>, is_all: bool) -> Asked {
        let mut sender = self.sender.clone();
        let (response, send) = world.runs(async {
            poll_fn(|cx| sender.poll_ready(cx)).await.expect("the connection takes requests");
            sender.send_request(request, is_all).expect("the request is good")
        });
        Asked { response, send }
    }

    /// `GET /path` without a body.
    pub(super) fn gets(&mut self, world: &World, path: &str) -> Asked {
        self.asks(world, request(Method::GET, path), true)
    }

    /// Asks for a WebSocket at `path`.
    pub(super) fn asks_for_websocket(&mut self, world: &World, path: &str) -> Asked {
        let mut request = request(Method::CONNECT, path);
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        request.headers_mut().insert("sec-websocket-version", "13".parse().expect("a number is text"));
        self.asks(world, request, false)
    }

    /// Opens a WebSocket at `path`, whose backend has the handshake behind it.
    #[track_caller]
    pub(super) fn opens_websocket(&mut self, world: &World, path: &str) -> (Tunnel, End) {
        let asked = self.asks_for_websocket(world, path);
        let mut backend = world.accept();
        let head = backend.hears_head();
        backend.says(switching(&head));
        (asked.opens(world), backend)
    }

    /// How the connection ended, if it has.
    pub(super) fn end(&self, world: &World) -> Option<Result<(), h2::Error>> {
        world.runs(async {});
        self.end.lock().expect("nobody panics").take()
    }

    /// Whether the gateway offers WebSockets.
    pub(super) fn is_offered_websockets(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }
}

/// A request to `path` without a body.
pub(super) fn request(method: Method, path: &str) -> Request<()> {
    let request = Request::builder().method(method).version(Version::HTTP_2);
    request.uri(format!("http://culvert.test{path}")).body(()).expect("the path is good")
}

/// What is ready now.
fn now<T>(world: &World, future: impl Future<Output = T>) -> Option<T> {
    world.runs(async {});
    let mut future = Box::pin(future);
    world.runs(poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut future).poll(cx) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    }))
}

impl Asked {
    /// The response's head, which is there now.
    #[track_caller]
    pub(super) fn hears_head(self, world: &World) -> Answered {
        self.outcome(world).expect("there is an answer").expect("the stream was answered")
    }

    /// What came of it, if anything yet.
    pub(super) fn outcome(self, world: &World) -> Option<Result<Answered, h2::Error>> {
        now(world, self.response).map(|response| {
            let (parts, body) = response?.into_parts();
            Ok(Answered { head: Response::from_parts(parts, ()), body })
        })
    }

    /// A whole response: status and body.
    #[track_caller]
    pub(super) fn hears(self, world: &World) -> (u16, String) {
        let mut answered = self.hears_head(world);
        let body = answered.hears_all(world);
        (answered.head.status().as_u16(), String::from_utf8(body).expect("the body is text"))
    }

    /// Whether the gateway has asked for the body.
    pub(super) fn is_invited(&mut self, world: &World) -> bool {
        let interim = world.runs(poll_fn(|cx| Poll::Ready(self.response.poll_informational(cx))));
        matches!(interim, Poll::Ready(Some(Ok(head))) if head.status() == 100)
    }

    /// Sends body bytes.
    pub(super) fn says(&mut self, world: &World, bytes: &[u8], is_all: bool) {
        self.send.send_data(Bytes::copy_from_slice(bytes), is_all).expect("the stream is open");
        world.runs(async {});
    }

    #[track_caller]
    pub(super) fn opens(self, world: &World) -> Tunnel {
        let response = now(world, self.response).expect("there is an answer").expect("the stream was answered");
        assert_eq!(response.status(), 200);
        Tunnel { send: self.send, receive: response.into_body() }
    }
}

impl Answered {
    /// The body to its end, which is there now.
    #[track_caller]
    pub(super) fn hears_all(&mut self, world: &World) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(bytes) = now(world, self.body.data()).expect("there is more, or the end") {
            let bytes = bytes.expect("the stream is whole");
            self.body.flow_control().release_capacity(bytes.len()).expect("so much was taken");
            body.extend_from_slice(&bytes);
        }
        body
    }

    /// The trailers behind the body.
    #[track_caller]
    pub(super) fn hears_trailers(&mut self, world: &World) -> Option<HeaderMap> {
        now(world, self.body.trailers()).expect("the end is there").expect("the stream is whole")
    }
}

impl Tunnel {
    /// Sends bytes.
    pub(super) fn says(&mut self, world: &World, bytes: &[u8]) {
        self.send.send_data(Bytes::copy_from_slice(bytes), false).expect("the stream is open");
        world.runs(async {});
    }

    /// Hears exactly these bytes next, now.
    #[track_caller]
    pub(super) fn hears(&mut self, world: &World, expected: &[u8]) {
        let mut heard = Vec::new();
        while heard.len() < expected.len() {
            let Some(next) = now(world, self.receive.data()) else { break };
            let bytes = next.expect("the stream goes on").expect("the stream is whole");
            self.receive.flow_control().release_capacity(bytes.len()).expect("so much was taken");
            heard.extend_from_slice(&bytes);
        }
        assert!(heard == expected, "heard {:?}", heard.escape_ascii().to_string());
    }

    /// Sends as much as the windows have room for: how many bytes those are.
    pub(super) fn says_what_fits(&mut self, world: &World, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            self.send.reserve_capacity(bytes.len() - sent);
            world.runs(async {});
            let room = self.send.capacity().min(bytes.len() - sent);
            if room == 0 {
                break;
            }
            self.says(world, &bytes[sent..sent + room]);
            sent += room;
        }
        sent
    }

    /// Hears what is there of `expected`, `most` bytes or a little more, and adds their number to `heard`.
    #[track_caller]
    pub(super) fn hears_part(&mut self, world: &World, expected: &[u8], most: usize, heard: &mut usize) {
        let mut part = Vec::new();
        while part.len() < most {
            let before = part.len();
            self.hears_some(world, &mut part);
            if part.len() == before {
                break;
            }
        }
        assert!(part == expected[..part.len()]);
        *heard += part.len();
    }

    /// Hears one piece, if there is one now.
    #[track_caller]
    pub(super) fn hears_some(&mut self, world: &World, heard: &mut Vec<u8>) {
        if let Some(next) = now(world, self.receive.data()) {
            let bytes = next.expect("the stream goes on").expect("the stream is whole");
            self.receive.flow_control().release_capacity(bytes.len()).expect("so much was taken");
            heard.extend_from_slice(&bytes);
        }
    }

    /// Ends its sending half.
    pub(super) fn ends_sending(&mut self, world: &World) {
        self.send.send_data(Bytes::new(), true).expect("the stream is open");
        world.runs(async {});
    }

    /// Breaks it off.
    pub(super) fn resets(&mut self, world: &World) {
        self.send.send_reset(h2::Reason::CANCEL);
        world.runs(async {});
    }

    /// How it ends: with END_STREAM, or with a reset.
    #[track_caller]
    pub(super) fn ends(&mut self, world: &World) -> Result<(), h2::Error> {
        match now(world, self.receive.data()).expect("it has ended") {
            None => Ok(()),
            Some(Err(error)) => Err(error),
            // The frame that carries the end.
            Some(Ok(bytes)) if bytes.is_empty() => self.ends(world),
            Some(Ok(bytes)) => panic!("heard {:?}", bytes.escape_ascii().to_string()),
        }
    }
}
