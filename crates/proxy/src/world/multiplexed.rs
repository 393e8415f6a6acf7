//! Browsers whose WebSockets are streams of HTTP/2 (RFC 8441), for tests that know nothing of it: with
//! `CULVERT_TEST_CLIENT=h2` in the environment, [`World::upgrade`] gives such ends.

use super::{End, World};
use bytes::Bytes;
use h2::ext::Protocol;
use h2::{Reason, RecvStream, SendStream, client};
use http::{Method, Request};
use std::future::poll_fn;
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};

/// What says that browsers speak HTTP/2.
pub(crate) const ASKED_BY: (&str, &str) = ("CULVERT_TEST_CLIENT", "h2");

/// Whether the browsers of this process's tests speak HTTP/2.
pub(super) fn is_asked_for() -> bool {
    std::env::var(ASKED_BY.0).is_ok_and(|client| client == ASKED_BY.1)
}

impl World {
    /// A browser opens a WebSocket in a stream of a connection of its own.
    #[track_caller]
    pub(super) fn upgrade_in_stream(&self, path: &str) -> (End, End) {
        let pipe = self.connect().into_pipe();
        let (near, far) = duplex(self.browser_pipe_bytes);
        let mut request = Request::builder().method(Method::CONNECT).uri(format!("http://culvert.test{path}"));
        request = request.header("sec-websocket-version", "13").extension(Protocol::from_static("websocket"));
        let request = request.body(()).expect("the path is good");
        let response = self.runs(async {
            let mut builder = client::Builder::new();
            builder
                .initial_window_size(u32::try_from(self.browser_pipe_bytes.min(64 * 1024)).expect("a pipe is small"));
            let (sender, connection) = builder.handshake::<_, Bytes>(pipe).await.expect("the pipe is open");
            tokio::spawn(connection);
            // The gateway's settings come first: they say whether it may be asked.
            let mut sender = sender.ready().await.expect("the connection takes requests");
            tokio::task::yield_now().await;
            sender.send_request(request, false).expect("the request is good")
        });
        let mut backend = self.accept();
        let head = backend.hears_head();
        backend.says(switching(&head));
        self.runs(async {
            let (response, send) = response;
            let response = response.await.expect("the handshake is answered");
            assert_eq!(response.status(), 200);
            tokio::spawn(carry(near, send, response.into_body()));
        });
        (End::new("browser", far, self.clock.clone()), backend)
    }
}

/// A backend's answer to the handshake `head`, whose key nobody could know before.
pub(crate) fn switching(head: &str) -> String {
    let key = head.lines().find_map(|line| line.strip_prefix("sec-websocket-key: ")).expect("a handshake has a key");
    let accept = culvert_engine::websocket::accept_for(key.as_bytes());
    let accept = std::str::from_utf8(&accept).expect("base64 is text");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// Carries bytes between a pipe and a stream until both directions have ended, or one has broken.
async fn carry(pipe: DuplexStream, send: SendStream<Bytes>, receive: RecvStream) {
    let (from, to) = split(pipe);
    // A broken stream is a closed pipe to the test, which looks for itself.
    let _ = tokio::try_join!(carry_up(from, send), carry_down(receive, to));
}

async fn carry_up(mut from: ReadHalf<DuplexStream>, mut send: SendStream<Bytes>) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            reset = poll_fn(|cx| send.poll_reset(cx)) => return match reset {
                // The gateway has said all that it had to say, which may still have to be heard.
                Ok(Reason::NO_ERROR) => Ok(()),
                reset => Err(io::Error::other(format!("{reset:?}"))),
            },
            read = from.read(&mut buffer) => read?,
        };
        if read == 0 {
            return send.send_data(Bytes::new(), true).map_err(io::Error::other);
        }
        let mut left = &buffer[..read];
        while !left.is_empty() {
            send.reserve_capacity(left.len());
            while send.capacity() == 0 {
                poll_fn(|cx| send.poll_capacity(cx))
                    .await
                    .ok_or(io::ErrorKind::BrokenPipe)?
                    .map_err(io::Error::other)?;
            }
            let (now, later) = left.split_at(send.capacity().min(left.len()));
            send.send_data(Bytes::copy_from_slice(now), false).map_err(io::Error::other)?;
            left = later;
        }
    }
}

/// The window is given back in steps of so many bytes.
const SIP_BYTES: usize = 512;

async fn carry_down(mut receive: RecvStream, mut to: WriteHalf<DuplexStream>) -> io::Result<()> {
    while let Some(bytes) = receive.data().await {
        for piece in bytes.map_err(io::Error::other)?.chunks(SIP_BYTES) {
            to.write_all(piece).await?;
            receive.flow_control().release_capacity(piece.len()).map_err(io::Error::other)?;
        }
    }
    to.shutdown().await
}
