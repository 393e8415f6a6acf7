//! `culvert echo`: the server of the WebSocket recipe, for trying a configuration out.
//!
//! It answers a text message with `Server received from client: TEXT` and a binary one with its own bytes, pongs pings,
//! and answers a close frame with the same code. The demo's backends are the same server with a page to show.

mod handshake;

use crate::argv::Echo;
use crate::{complain, say};
use futures_util::{SinkExt, StreamExt};
use handshake::Greeted;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

/// How long a client may take to send its request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest message; enough for anything typed or tested, and a bound all the same.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What an echo server says.
#[derive(Debug, Default)]
pub(crate) struct Manner {
    /// Who answers: `NAME received from client: …`.
    pub(crate) name: String,
    /// The subprotocols that it speaks.
    pub(crate) subprotocols: Vec<String>,
    /// What a plain GET is answered with; without a page, 426 Upgrade Required.
    pub(crate) page: Option<String>,
    /// A path whose sockets are told at once who they talk to, and that message.
    pub(crate) introduction: Option<(&'static str, String)>,
}

/// Runs `culvert echo` until it is interrupted.
pub(crate) fn run(arguments: Echo) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(listen(arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&format!("echo: {error}")),
    }
}

async fn listen(arguments: Echo) -> io::Result<()> {
    let listener = bind(&arguments.host, arguments.port).await?;
    say(&format!("Listening on ws://{}/ (press CTRL+C to quit)\n", listener.local_addr()?));
    let manner = Manner { name: arguments.name, subprotocols: arguments.subprotocols, ..Manner::default() };
    tokio::select! {
        () = serve(listener, Arc::new(manner)) => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

/// Binds a listener; an error names the address.
pub(crate) async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {host}:{port}: {error}"));
    TcpListener::bind((host, port)).await.map_err(named)
}

/// Serves all who connect, for ever.
pub(crate) async fn serve(listener: TcpListener, manner: Arc<Manner>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(converse(stream, Arc::clone(&manner)));
            }
            // Out of descriptors, most likely: those in use have to end before the next can come.
            Err(error) => {
                complain(&format!("echo: accept() failed: {error}"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves one connection. How it ends is the client's business, so errors end it and are not reported.
async fn converse(mut stream: TcpStream, manner: Arc<Manner>) {
    let _ = stream.set_nodelay(true);
    let greeted = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake::greet(&mut stream, &manner)).await;
    let Ok(Ok(Greeted::WebSocket { path, read_ahead })) = greeted else { return };
    let config = WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let socket = WebSocketStream::from_partially_read(stream, read_ahead, Role::Server, Some(config)).await;
    let _ = echo(socket, &manner, &path).await;
}

async fn echo(mut socket: WebSocketStream<TcpStream>, manner: &Manner, path: &str) -> Result<(), Error> {
    if let Some((_, words)) = manner.introduction.as_ref().filter(|(at, _)| *at == path) {
        socket.send(Message::text(words.as_str())).await?;
    }
    // Pings and close frames are answered inside the socket, as it is read.
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => {
                let answer = format!("{} received from client: {}", manner.name, text.as_str());
                socket.send(Message::text(answer)).await?;
            }
            binary @ Message::Binary(_) => socket.send(binary).await?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_tungstenite::connect_async;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

    async fn served(manner: Manner) -> String {
        let listener = bind("127.0.0.1", 0).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        tokio::spawn(serve(listener, Arc::new(manner)));
        address
    }

    fn server() -> Manner {
        Manner { name: "Server".into(), subprotocols: vec!["a".into(), "b".into()], ..Manner::default() }
    }

    async fn plain(address: &str, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers in text");
        answer
    }

    #[tokio::test]
    async fn text_is_answered_in_the_recipes_words_and_binary_with_itself() {
        let (mut socket, _) = connect_async(format!("ws://{}/", served(server()).await)).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("Server received from client: hello"));
        socket.send(Message::binary(vec![0, 255, 1])).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::binary(vec![0, 255, 1]));
    }

    #[tokio::test]
    async fn a_ping_is_answered_and_a_close_code_comes_back() {
        let (mut socket, _) = connect_async(format!("ws://{}/", served(server()).await)).await.unwrap();
        socket.send(Message::Ping("are you there".into())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("are you there".into()));
        let frame = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        socket.close(Some(frame.clone())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(Some(frame)));
    }

    #[tokio::test]
    async fn the_clients_first_subprotocol_that_it_speaks_is_chosen() {
        let mut request = format!("ws://{}/", served(server()).await).into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "x, b, a".parse().unwrap());
        let (_, response) = connect_async(request).await.unwrap();
        assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "b");
    }

    #[tokio::test]
    async fn a_message_that_comes_with_the_handshake_is_answered() {
        let mut stream = TcpStream::connect(served(server()).await).await.unwrap();
        let head = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let together = [head.as_bytes(), b"\x81\x82\0\0\0\0hi\x88\x80\0\0\0\0"].concat();
        stream.write_all(&together).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{answer}");
        assert!(answer.contains("server received from client: hi"), "{answer}");
    }

    #[tokio::test]
    async fn a_plain_request_gets_the_page_or_a_wish_for_an_upgrade() {
        let answer = plain(&served(server()).await, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 426 Upgrade Required\r\n"), "{answer}");
        let manner = Manner { page: Some("<p>hello".into()), ..server() };
        let address = served(manner).await;
        let answer = plain(&address, "GET /?x HTTP/1.0\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n<p>hello"), "{answer}");
        let answer = plain(&address, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn garbage_gets_400() {
        let answer = plain(&served(server()).await, "\x16\x03\x01\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    }
}
