use super::*;
use crate::io::reactor::Keeper;
use crate::io::{Backlog, Transport, scratch};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use std::future::Future;
use std::os::unix::net::UnixStream;

/// Runs a test with a reactor on the current thread.
fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be built");
    runtime.block_on(async {
        let keeper = Keeper::new().expect("a test has descriptors left");
        keeper.install();
        tokio::select! {
            result = test => result,
            () = keeper => unreachable!("the keeper never ends"),
        }
    })
}

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["example.com".into()]).expect("a key");
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).expect("PKCS #8");
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server.with_single_cert(vec![cert.der().clone()], key).expect("they fit");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a certificate");
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), Arc::new(client))
}

/// A client and a server that are connected, their handshake made.
async fn pair() -> (TlsStream, TlsStream) {
    let (server, client) = configs();
    let (near, far) = UnixStream::pair().expect("a test has descriptors left");
    let socket = |stream: UnixStream| {
        stream.set_nonblocking(true).expect("a socket");
        Socket::new(stream.into()).expect("the reactor takes it")
    };
    let name = ServerName::try_from("example.com").expect("a name");
    let mut client = TlsStream::connect(socket(near), client, name).expect("a good configuration");
    let mut server = TlsStream::accept(socket(far), server, Vec::new()).expect("a good configuration");
    let (one, other) = tokio::join!(client.handshake(), server.handshake());
    one.and(other).expect("both trust each other");
    (client, server)
}

async fn write(stream: &mut Transport, bytes: &[u8]) -> io::Result<()> {
    let (mut backlog, mut sent) = (Backlog::default(), 0);
    backlog.push(bytes);
    poll_fn(|cx| backlog.poll_write(stream, cx, &mut sent)).await
}

/// Reads `length` bytes, at most `limit` at a time.
async fn read(stream: &mut Transport, length: usize, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let limit = limit.min(length - bytes.len());
        let part = poll_fn(|cx| scratch::poll_read(stream, cx, limit, |_, bytes| bytes.to_vec())).await;
        let part = part.expect("the stream goes on");
        assert!(!part.is_empty(), "the stream ended after {} of {length} bytes", bytes.len());
        bytes.extend(part);
    }
    bytes
}

async fn receive(stream: &mut TlsStream) -> io::Result<usize> {
    let mut buffer = [0; 100];
    poll_fn(|cx| stream.poll_receive(cx, &mut buffer)).await
}

#[test]
fn bytes_of_any_number_arrive_whole_and_in_order_however_they_are_read() {
    run(async {
        let (client, server) = pair().await;
        let (mut client, mut server) = (Transport::Tls(Box::new(client)), Transport::Tls(Box::new(server)));
        for length in [1, 100, 16_384, 16_385, 65_550, 1_000_000] {
            for limit in [14, 1_000, usize::MAX] {
                let bytes = crate::world::noise(length.min(limit.saturating_mul(5_000)));
                let (written, heard) = tokio::join!(write(&mut client, &bytes), read(&mut server, bytes.len(), limit));
                written.expect("the stream goes on");
                assert!(heard == bytes, "{length} bytes up, {limit} at a time");
                let (written, heard) = tokio::join!(write(&mut server, &bytes), read(&mut client, bytes.len(), limit));
                written.expect("the stream goes on");
                assert!(heard == bytes, "{length} bytes down, {limit} at a time");
            }
        }
    });
}

#[test]
fn a_stream_that_idles_holds_no_buffer() {
    run(async {
        let (client, server) = pair().await;
        let (mut client, mut server) = (Transport::Tls(Box::new(client)), Transport::Tls(Box::new(server)));
        let bytes = crate::world::noise(300_000);
        let (written, _) = tokio::join!(write(&mut client, &bytes), read(&mut server, bytes.len(), 14_000));
        written.expect("the stream goes on");
        for stream in [client, server] {
            let Transport::Tls(stream) = stream else { unreachable!("it was made so") };
            assert_eq!((stream.partial.capacity(), stream.plain.capacity()), (0, 0));
            assert!(stream.unsent.is_none());
        }
    });
}

#[test]
fn what_a_reader_does_not_take_stops_the_writer_and_is_bounded() {
    run(async {
        let (mut client, server) = pair().await;
        let bytes = crate::world::noise(4_000_000);
        let mut written = 0;
        let stalled = poll_fn(|cx| {
            while let Poll::Ready(length) = Pin::new(&mut client).poll_write(cx, &bytes[written..]) {
                written += length.expect("the stream goes on");
            }
            Poll::Ready(client.unsent.as_ref().map_or(0, |unsent| unsent.bytes.len()))
        });
        assert!(stalled.await <= WRITE_BYTES_MAX + 5 * (RECORD_BYTES_MAX - 16_384));
        assert!(written < bytes.len(), "the kernel holds no more than its buffers");
        let rest = async {
            while written < bytes.len() {
                let write = poll_fn(|cx| Pin::new(&mut client).poll_write(cx, &bytes[written..]));
                written += write.await.expect("the stream goes on");
            }
        };
        let mut server = Transport::Tls(Box::new(server));
        let (heard, ()) = tokio::join!(read(&mut server, bytes.len(), usize::MAX), rest);
        assert!(heard == bytes);
    });
}

#[test]
fn an_end_that_was_announced_is_an_end_for_both_roles() {
    run(async {
        let (mut client, mut server) = pair().await;
        client.farewell();
        drop(client);
        assert_eq!(receive(&mut server).await.expect("an end"), 0);
        let (mut client, mut server) = pair().await;
        poll_fn(|cx| Pin::new(&mut server).poll_shutdown(cx)).await.expect("the stream goes on");
        assert_eq!(receive(&mut client).await.expect("an end"), 0);
        poll_fn(|cx| Pin::new(&mut client).poll_write(cx, b"still here")).await.expect("half of it is open");
        assert_eq!(receive(&mut server).await.expect("half of it is open"), 10);
    });
}

#[test]
fn an_end_that_was_not_announced_is_an_error_of_the_server_it_came_from() {
    run(async {
        let (mut client, mut server) = pair().await;
        // Tickets that nobody has read would make a reset of it.
        poll_fn(|cx| client.socket.registration().poll_ready(Ready::READ, cx)).await;
        assert!(client.is_idle_and_open());
        drop(client);
        assert_eq!(receive(&mut server).await.expect("nginx takes it for an end too"), 0);
        let (mut client, server) = pair().await;
        drop(server);
        let error = receive(&mut client).await.expect_err("what came may be cut off");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn session_tickets_are_no_reason_to_call_a_connection_dead() {
    run(async {
        let (mut client, mut server) = pair().await;
        // The tickets came with the handshake's end; the client has not read them.
        poll_fn(|cx| client.socket.registration().poll_ready(Ready::READ, cx)).await;
        assert!(client.is_idle_and_open());
        assert!(client.plain.is_empty());
        poll_fn(|cx| Pin::new(&mut server).poll_write(cx, b"unasked")).await.expect("the stream goes on");
        poll_fn(|cx| client.socket.registration().poll_ready(Ready::READ, cx)).await;
        assert!(!client.is_idle_and_open());
        let (mut client, server) = pair().await;
        drop(server);
        poll_fn(|cx| client.socket.registration().poll_ready(Ready::READ, cx)).await;
        assert!(!client.is_idle_and_open());
    });
}

#[test]
fn bytes_that_are_no_records_end_the_stream_with_an_alert() {
    run(async {
        let (client, mut server) = pair().await;
        client.socket.try_send(b"\x17\x03\x03\x00\x20this is not what a peer encrypted").expect("the socket is open");
        let error = receive(&mut server).await.expect_err("they can't be decrypted");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let written = poll_fn(|cx| Pin::new(&mut server).poll_write(cx, b"more")).await;
        assert_eq!(written.expect_err("it is over").kind(), io::ErrorKind::BrokenPipe);
    });
}
