//! `culvert connect`: a WebSocket client in wscat's manner, for a person at a terminal and for scripts.
//!
//! Messages are sent by one future and received by another, so that a server that stops reading until its answers are
//! read (as a gateway with back-pressure makes it) can't lock the two up.

mod console;

use crate::argv::Connect;
use crate::complain;
use console::{Console, Lines};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::cell::Cell;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long the server may be silent before it answers a close frame, and to close the connection after that.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest message; the answer to anything that a person or a script sends fits.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// The exit code when there was a socket and it didn't close cleanly.
const UNCLEAN: u8 = 2;

/// How a socket ended.
#[derive(Debug, PartialEq, Eq)]
enum Ending {
    /// With a close frame; 1005 stands for one without a code (RFC 6455 section 7.1.5).
    Closed { code: u16, reason: String },
    /// Without one; the text says what happened instead.
    Lost(String),
}

/// Runs `culvert connect`.
pub(crate) fn run(arguments: Connect) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("connect: {error}")),
    };
    let code = runtime.block_on(connect(arguments));
    // Standard input may still be read by a thread of the runtime, which nothing can wake.
    runtime.shutdown_background();
    code
}

async fn connect(arguments: Connect) -> ExitCode {
    let socket = match open(&arguments).await {
        Ok(socket) => socket,
        Err(message) => return complain(&format!("connect: {message}")),
    };
    let (mut console, lines) = match arguments.execute.is_empty() {
        true => console::standard(),
        false => console::scripted(arguments.execute),
    };
    console.note("Connected (press CTRL+C to quit)");
    let ending = converse(socket, &mut console, lines, arguments.wait).await;
    console.finish();
    report(&console, &ending)
}

async fn open(arguments: &Connect) -> Result<Socket, String> {
    let config =
        WebSocketConfig::default().max_message_size(Some(MESSAGE_BYTES_MAX)).max_frame_size(Some(MESSAGE_BYTES_MAX));
    match connect_async_with_config(request(arguments)?, Some(config), true).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(format!("unexpected server response: {}", response.status())),
        Err(Error::Io(error)) => Err(format!("cannot connect to {}: {error}", arguments.url)),
        Err(error) => Err(error.to_string()),
    }
}

fn request(arguments: &Connect) -> Result<Request, String> {
    let mut request = arguments.url.as_str().into_client_request().map_err(|error| error.to_string())?;
    for (name, value) in &arguments.headers {
        let bad = |_| format!("\"{name}: {value}\" is no valid header");
        let (name, value) =
            (name.parse::<HeaderName>().map_err(|_| bad(()))?, HeaderValue::from_str(value).map_err(|_| bad(()))?);
        match name {
            HOST | ORIGIN => drop(request.headers_mut().insert(name, value)),
            _ => drop(request.headers_mut().append(name, value)),
        }
    }
    if !arguments.subprotocols.is_empty() {
        let offer = arguments.subprotocols.join(", ").parse().map_err(|_| "invalid subprotocol".to_owned())?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offer);
    }
    Ok(request)
}

/// Sends the lines and shows the messages until the socket has ended.
async fn converse(socket: Socket, console: &mut Console, lines: Lines, wait: Duration) -> Ending {
    let (sink, stream) = socket.split();
    let received = Cell::new(0);
    let sending = send_lines(sink, lines, wait);
    let receiving = receive(stream, console, &received);
    tokio::pin!(sending, receiving);
    tokio::select! {
        ending = &mut receiving => return ending,
        // A failure to send shows on the receiving side, too, and better: with what the server said before.
        _ = &mut sending => {}
    }
    loop {
        let before = received.get();
        match tokio::time::timeout(CLOSE_TIMEOUT, &mut receiving).await {
            Ok(ending) => return ending,
            // Answers still arrive, and the close frame comes after them.
            Err(_) if received.get() > before => {}
            Err(_) => return Ending::Lost("the server did not answer the close frame".to_owned()),
        }
    }
}

/// Sends every line, stays for `wait`, and closes.
async fn send_lines(mut sink: SplitSink<Socket, Message>, mut lines: Lines, wait: Duration) -> Result<(), Error> {
    while let Some(line) = lines.recv().await {
        sink.send(Message::text(line)).await?;
    }
    tokio::time::sleep(wait).await;
    sink.send(Message::Close(Some(CloseFrame { code: CloseCode::Normal, reason: "".into() }))).await
}

/// Shows and counts messages until the close frame, then waits for the connection's end, so that the answer to it gets
/// out.
async fn receive(mut stream: SplitStream<Socket>, console: &mut Console, received: &Cell<u64>) -> Ending {
    let frame = loop {
        match stream.next().await {
            Some(Ok(Message::Close(frame))) => break frame,
            Some(Ok(message)) => {
                console.show(&message);
                received.set(received.get() + 1);
            }
            Some(Err(error)) => return Ending::Lost(error.to_string()),
            None => return Ending::Lost("the connection ended without a close frame".to_owned()),
        }
    };
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, rest).await;
    match frame {
        Some(frame) => Ending::Closed { code: frame.code.into(), reason: frame.reason.to_string() },
        None => Ending::Closed { code: 1005, reason: String::new() },
    }
}

fn report(console: &Console, ending: &Ending) -> ExitCode {
    match ending {
        Ending::Closed { code, reason } => {
            let line = format!("Disconnected (code: {code}, reason: \"{reason}\")");
            match code {
                1000 | 1001 | 1005 => {
                    console.last_note(&line);
                    ExitCode::SUCCESS
                }
                _ => {
                    complain(&line);
                    ExitCode::from(UNCLEAN)
                }
            }
        }
        Ending::Lost(what) => {
            complain(&format!("Disconnected (code: 1006, reason: \"{what}\")"));
            ExitCode::from(UNCLEAN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::{Manner, bind, serve};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn to(address: &str) -> Connect {
        Connect {
            url: format!("ws://{address}/"),
            headers: Vec::new(),
            subprotocols: Vec::new(),
            execute: Vec::new(),
            wait: Duration::ZERO,
        }
    }

    async fn echo_server() -> String {
        let listener = bind("127.0.0.1", 0).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let manner = Manner { name: "Server".into(), subprotocols: vec!["chat".into()], ..Manner::default() };
        tokio::spawn(serve(listener, Arc::new(manner)));
        address
    }

    /// Accepts one handshake, then sends these bytes and ends.
    async fn server_that_says(frames: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tokio_tungstenite::accept_async(stream).await.unwrap().into_inner();
            stream.write_all(frames).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        address
    }

    async fn ending(arguments: Connect, lines: &[&str]) -> (Ending, Vec<String>) {
        let socket = open(&arguments).await.unwrap();
        let (mut console, lines) = console::recorded(lines);
        let ending = converse(socket, &mut console, lines, arguments.wait).await;
        (ending, console.into_record())
    }

    #[tokio::test]
    async fn what_was_sent_is_answered_before_the_socket_closes() {
        let (ending, shown) = ending(to(&echo_server().await), &["one", "two"]).await;
        assert_eq!(shown, ["Server received from client: one", "Server received from client: two"]);
        assert_eq!(ending, Ending::Closed { code: 1000, reason: String::new() });
    }

    #[tokio::test]
    async fn megabytes_of_lines_do_not_lock_up() {
        let line = "x".repeat(1 << 20);
        let lines = vec![line.as_str(); 24];
        let (ending, shown) = ending(to(&echo_server().await), &lines).await;
        assert_eq!(shown.len(), lines.len());
        assert_eq!(ending, Ending::Closed { code: 1000, reason: String::new() });
    }

    #[tokio::test]
    async fn the_servers_close_code_is_kept() {
        let (ending, shown) = ending(to(&server_that_says(b"\x81\x02hi\x88\x06\x03\xf3oops").await), &[]).await;
        assert_eq!(shown, ["hi"]);
        assert_eq!(ending, Ending::Closed { code: 1011, reason: "oops".to_owned() });
    }

    #[tokio::test]
    async fn an_end_without_a_close_frame_is_a_loss() {
        let mut arguments = to(&server_that_says(b"\x81\x02hi").await);
        arguments.wait = Duration::from_secs(60);
        let (ending, shown) = ending(arguments, &[]).await;
        assert_eq!(shown, ["hi"]);
        assert!(matches!(ending, Ending::Lost(_)), "{ending:?}");
    }

    #[tokio::test]
    async fn headers_and_subprotocols_are_sent() {
        let mut arguments = to(&echo_server().await);
        arguments.headers = vec![("X-Test".into(), "1".into()), ("Host".into(), "example.com".into())];
        arguments.subprotocols = vec!["chat".into(), "other".into()];
        let request = request(&arguments).unwrap();
        assert_eq!(request.headers()["x-test"], "1");
        assert_eq!(request.headers()["host"], "example.com");
        assert_eq!(request.headers()["sec-websocket-protocol"], "chat, other");
        assert!(open(&arguments).await.is_ok());
    }

    #[tokio::test]
    async fn a_refusal_is_told_by_its_status() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        });
        let message = open(&to(&address)).await.unwrap_err();
        assert_eq!(message, "unexpected server response: 403 Forbidden");
    }
}
