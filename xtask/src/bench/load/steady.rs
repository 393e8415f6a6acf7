//! A load at a steady pace: a message is sent when it is due, whether or not the last one was answered.

use super::WARM_UP;
use crate::bench::frame;
use crate::bench::peer::Running;
use crate::bench::sample::Sample;
use anyhow::{Context, Result, ensure};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::unix::pipe::Receiver;
use tokio::task::JoinSet;

/// How long answers may take that are still due at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// WebSockets that take turns in sending a message.
pub(in crate::bench) struct Steady {
    message: Vec<u8>,
    echo_bytes: usize,
    sockets: Vec<Socket>,
    next: usize,
    answers: Arc<Mutex<Vec<u32>>>,
    readers: JoinSet<Result<()>>,
}

struct Socket {
    writer: OwnedWriteHalf,
    /// When the messages were sent that are not answered yet, oldest first.
    sent: Arc<Mutex<VecDeque<Instant>>>,
}

impl Steady {
    /// None yet, for messages of this size.
    pub(in crate::bench) fn new(message_bytes: usize) -> Steady {
        let payload = vec![b'x'; message_bytes];
        Steady {
            message: frame::from_client(&payload),
            echo_bytes: frame::from_server(&payload).len(),
            sockets: Vec::new(),
            next: 0,
            answers: Arc::default(),
            readers: JoinSet::new(),
        }
    }

    /// How many take turns.
    pub(in crate::bench) fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// Takes these in.
    pub(in crate::bench) fn read_from(&mut self, sockets: Vec<TcpStream>) {
        for stream in sockets {
            let (reader, writer) = stream.into_split();
            let sent = Arc::default();
            self.readers.spawn(note_answers(reader, self.echo_bytes, Arc::clone(&sent), Arc::clone(&self.answers)));
            self.sockets.push(Socket { writer, sent });
        }
    }

    /// Sends at the pace, first to run warm, then for the length of `window` while the proxy's time is taken.
    pub(in crate::bench) async fn measure(
        &mut self,
        peer: &Running,
        per_second: u32,
        window: Duration,
    ) -> Result<Sample> {
        let sent = self.send(per_second, WARM_UP).await?;
        self.wait_for(sent).await?;
        self.take_answers();
        let (begun, cpu_before) = (Instant::now(), peer.cpu_time()?);
        let sent = self.send(per_second, window).await?;
        self.wait_for(sent).await?;
        let (elapsed, cpu_after) = (begun.elapsed(), peer.cpu_time()?);
        let mut latencies = self.take_answers();
        latencies.sort_unstable();
        Ok(Sample {
            sockets: self.sockets.len(),
            answers: latencies.len() as u64,
            cpu: cpu_after.saturating_sub(cpu_before),
            elapsed,
            latencies,
            ..Sample::default()
        })
    }

    /// Sends a message whenever one is due, and says how many that were.
    async fn send(&mut self, per_second: u32, duration: Duration) -> Result<usize> {
        let metronome = metronome(Duration::from_secs(1) / per_second)?;
        let end = Instant::now() + duration;
        let mut sent = 0;
        while Instant::now() < end {
            metronome.readable().await?;
            let mut ticks = [0; 8];
            if metronome.try_read(&mut ticks).is_ok() {
                let due = u64::from_ne_bytes(ticks) as usize;
                (0..due).try_for_each(|_| self.send_one())?;
                sent += due;
            }
        }
        self.none_has_ended()?;
        Ok(sent)
    }

    fn send_one(&mut self) -> Result<()> {
        let socket = &self.sockets[self.next];
        self.next = (self.next + 1) % self.sockets.len();
        socket.sent.lock().unwrap_or_else(PoisonError::into_inner).push_back(Instant::now());
        let written = socket.writer.try_write(&self.message).context("a message could not be sent")?;
        ensure!(written == self.message.len(), "a message was sent in part");
        Ok(())
    }

    /// Waits for the answers that are due; that one is missing means that the proxy does not keep up.
    async fn wait_for(&mut self, sent: usize) -> Result<()> {
        let deadline = Instant::now() + LAST_ANSWERS;
        while self.answers.lock().unwrap_or_else(PoisonError::into_inner).len() < sent {
            ensure!(Instant::now() < deadline, "answers are missing: the proxy does not keep up");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.none_has_ended()
    }

    fn none_has_ended(&mut self) -> Result<()> {
        match self.readers.try_join_next() {
            Some(ended) => Err(ended?.err().context("a socket ended")?),
            None => Ok(()),
        }
    }

    fn take_answers(&self) -> Vec<u32> {
        std::mem::take(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads one socket's echoes and notes how long each took.
async fn note_answers(
    mut reader: OwnedReadHalf,
    echo_bytes: usize,
    sent: Arc<Mutex<VecDeque<Instant>>>,
    answers: Arc<Mutex<Vec<u32>>>,
) -> Result<()> {
    let mut received = vec![0; echo_bytes];
    loop {
        reader.read_exact(&mut received).await.context("the socket ended")?;
        let sent = sent.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let took = sent.context("an answer came to nothing")?.elapsed();
        let took = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
        answers.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    }
}

/// A timer that ticks at this interval; what is read from it is the number of ticks since the last read. The runtime's own
/// timers are no finer than a millisecond. To the runtime it passes for a pipe, since all that it is asked for is to be
/// read when it is readable.
fn metronome(interval: Duration) -> Result<Receiver> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let tick = Timespec { tv_sec: interval.as_secs().try_into()?, tv_nsec: interval.subsec_nanos().into() };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: tick, it_value: tick })?;
    Ok(Receiver::from_owned_fd_unchecked(timer)?)
}
