//! Content on its way to the client: bytes or a file, whole or in parts, never more than a piece of it in memory.

use super::Content;
use crate::exchange::client::OutHead;
use crate::exchange::filter::{self, Delivery, Filtered};
use crate::exchange::{Client, Exchange, Next, respond};
use crate::io::Deadline;
use crate::io::clock::now;
use crate::observe::error_log::os_error;
use bytes::Bytes;
use culvert_conf::config::Level;
use culvert_engine::http1::Headers;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How much of a file is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// No more is read while the client has so much to take yet.
const AHEAD_BYTES_MAX: usize = 32 * 1024;
/// So many pieces in a row, and other connections of the worker have their turn.
const PIECES_PER_TURN: usize = 16;

thread_local! {
    static PIECE: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE_BYTES].into_boxed_slice());
}

/// Sends `head` and `content`, to the end.
pub(in crate::exchange) async fn send<C: Client>(
    exchange: &mut Exchange,
    client: &mut C,
    head: OutHead,
    content: Content,
) -> Next {
    filter::fetch_additions(exchange, client, &head).await;
    let mut delivery = match respond::send_head(exchange, client, head) {
        Ok(delivery) => delivery,
        Err(status) => return Next::Status(status),
    };
    let source = Source::new(content, &delivery, exchange.sent.has_body);
    let wait = exchange.location.send_timeout;
    let end = match &mut delivery.chain {
        None => send_all(client, source, wait).await,
        Some(chain) => {
            let end = send_all(&mut Filtered::new(client, chain), source, wait).await;
            match filter::complete(exchange, client, chain, matches!(end, End::Complete)).await {
                false if matches!(end, End::Complete) => End::ClientGone,
                _ => end,
            }
        }
    };
    match end {
        End::Complete => {
            exchange.sent.complete = true;
            return Next::Done;
        }
        End::ClientGone => {}
        End::ClientStalled => {
            let message = "client timed out (110: Connection timed out) while sending response to client";
            exchange.log(Level::Info, message);
            return exchange.give_up(client);
        }
        End::Source(message) => exchange.log(Level::Alert, message),
    }
    Next::Close
}

async fn send_all<C: Client>(client: &mut C, mut source: Source, wait: Duration) -> End {
    let mut deadline = client.lend_deadline();
    deadline.clear();
    let end = poll_fn(|cx| poll(cx, client, &mut source, &mut deadline, wait)).await;
    client.return_deadline(deadline);
    end
}

/// How the sending ended.
enum End {
    Complete,
    ClientGone,
    ClientStalled,
    /// The file could not be read on.
    Source(String),
}

fn poll<C: Client>(
    cx: &mut Context<'_>,
    client: &mut C,
    source: &mut Source,
    deadline: &mut Deadline,
    wait: Duration,
) -> Poll<End> {
    let before = client.sent();
    let end = match poll_pieces(cx, client, source) {
        Poll::Ready(Err(end)) => return Poll::Ready(end),
        Poll::Ready(Ok(())) => client.poll_flush(cx),
        Poll::Pending => Poll::Pending,
    };
    match end {
        Poll::Ready(Ok(())) => return Poll::Ready(End::Complete),
        Poll::Ready(Err(_)) => return Poll::Ready(End::ClientGone),
        Poll::Pending => {}
    }
    if client.sent() != before || !deadline.is_set() {
        deadline.set(now(), wait);
    }
    ready!(deadline.poll(cx));
    Poll::Ready(End::ClientStalled)
}

/// Hands pieces over for as long as the client takes them; ready when it has all.
fn poll_pieces<C: Client>(cx: &mut Context<'_>, client: &mut C, source: &mut Source) -> Poll<Result<(), End>> {
    for _ in 0..PIECES_PER_TURN {
        if source.is_done {
            return Poll::Ready(Ok(()));
        }
        if client.backlog() > AHEAD_BYTES_MAX && ready!(client.poll_flush(cx)).is_err() {
            return Poll::Ready(Err(End::ClientGone));
        }
        if let Err(end) = source.give(cx, client) {
            return Poll::Ready(Err(end));
        }
    }
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// What is left to send.
struct Source {
    pieces: VecDeque<Piece>,
    file: Option<(File, String)>,
    is_done: bool,
}

enum Piece {
    Bytes(Bytes),
    File(Range<u64>),
}

impl Source {
    fn new(content: Content, delivery: &Delivery, has_body: bool) -> Source {
        let mut pieces = VecDeque::new();
        let (file, whole) = match content {
            Content::Bytes(bytes) => (None, Whole::Bytes(bytes)),
            Content::File { file, length, name } => (Some((file, name)), Whole::File(length)),
        };
        match &delivery.parts {
            _ if !has_body => {}
            None => pieces.push_back(whole.part(None)),
            Some(parts) => {
                for part in &parts.ranges {
                    if !part.heading.is_empty() {
                        pieces.push_back(Piece::Bytes(part.heading.clone()));
                    }
                    pieces.push_back(whole.part(Some(&part.range)));
                }
                if !parts.ending.is_empty() {
                    pieces.push_back(Piece::Bytes(parts.ending.clone()));
                }
            }
        }
        Source { pieces, file, is_done: !has_body }
    }

    /// Hands over the next piece, or the end.
    fn give<C: Client>(&mut self, cx: &mut Context<'_>, client: &mut C) -> Result<(), End> {
        let sent = match self.pieces.front_mut() {
            None => {
                client.send_end(&Headers::default());
                self.is_done = true;
                return Ok(());
            }
            Some(Piece::Bytes(bytes)) => {
                let sent = client.send_body(cx, bytes);
                self.pieces.pop_front();
                sent
            }
            Some(Piece::File(range)) => {
                let (file, name) = self.file.as_ref().expect("a piece of a file comes with its file");
                let sent = PIECE.with_borrow_mut(|piece| {
                    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(piece.len());
                    read_whole(file, &mut piece[..wanted], range.start, name)?;
                    range.start += wanted as u64;
                    Ok(client.send_body(cx, &piece[..wanted]))
                })?;
                if range.is_empty() {
                    self.pieces.pop_front();
                }
                sent
            }
        };
        sent.map_err(|_| End::ClientGone)
    }
}

/// Reads all that was asked for: the head has promised it.
fn read_whole(file: &File, into: &mut [u8], from: u64, name: &str) -> Result<(), End> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], from + read as u64) {
            Ok(0) => {
                let message = format!("pread() read only {read} of {} from \"{name}\"", into.len());
                return Err(End::Source(message));
            }
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(End::Source(format!("pread() \"{name}\" failed ({})", os_error(&error)))),
        }
    }
    Ok(())
}

enum Whole {
    Bytes(Bytes),
    File(u64),
}

impl Whole {
    fn part(&self, range: Option<&Range<u64>>) -> Piece {
        match (self, range) {
            (Whole::Bytes(bytes), None) => Piece::Bytes(bytes.clone()),
            (Whole::Bytes(bytes), Some(range)) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                Piece::Bytes(bytes.slice(place(range.start)..place(range.end)))
            }
            (Whole::File(length), None) => Piece::File(0..*length),
            (Whole::File(_), Some(range)) => Piece::File(range.clone()),
        }
    }
}
