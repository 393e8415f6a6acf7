use super::{Backlog, Deadline, Transport, scratch};
use proptest::prelude::*;
use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, duplex};
use tokio::task::coop;
use tokio::time::{Instant, advance, timeout};

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(test)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// How long a deadline keeps its task waiting.
async fn wait(deadline: &mut Deadline) -> Duration {
    let began = Instant::now();
    poll_fn(|cx| deadline.poll(cx)).await;
    began.elapsed()
}

#[test]
fn a_deadline_that_is_not_set_never_comes() {
    run(async {
        assert!(timeout(secs(1_000_000), wait(&mut Deadline::default())).await.is_err());
    });
}

#[test]
fn a_deadline_that_is_moved_away_is_waited_for_anew() {
    run(async {
        let mut deadline = Deadline::default();
        deadline.set(Instant::now(), secs(5));
        assert!(timeout(secs(4), wait(&mut deadline)).await.is_err());
        deadline.set(Instant::now(), secs(5));
        assert_eq!(wait(&mut deadline).await, secs(5));
    });
}

#[test]
fn a_deadline_that_is_moved_closer_comes_sooner() {
    run(async {
        let mut deadline = Deadline::default();
        deadline.set(Instant::now(), secs(500));
        assert!(timeout(secs(1), wait(&mut deadline)).await.is_err());
        deadline.set(Instant::now(), secs(2));
        assert_eq!(wait(&mut deadline).await, secs(2));
    });
}

#[test]
fn a_deadline_wakes_the_task_that_waits_for_it_last() {
    run(async {
        let mut deadline = Deadline::default();
        deadline.set(Instant::now(), secs(5));
        assert!(timeout(secs(1), wait(&mut deadline)).await.is_err());
        // The timer runs already, for this task and not for the other.
        let other = tokio::spawn(async move { wait(&mut deadline).await });
        assert_eq!(other.await.expect("it does not panic"), secs(4));
    });
}

#[test]
fn a_deadline_comes_for_a_task_that_had_used_its_budget_up() {
    run(async {
        let mut deadline = Deadline::default();
        deadline.set(Instant::now(), secs(5));
        let waited = tokio::spawn(async move {
            let mut is_busy = true;
            poll_fn(|cx| {
                while is_busy && coop::has_budget_remaining() {
                    assert!(coop::poll_proceed(cx).map(|budget| budget.made_progress()).is_ready());
                }
                is_busy = false;
                deadline.poll(cx)
            })
            .await;
        });
        assert!(timeout(secs(6), waited).await.is_ok());
    });
}

#[test]
fn a_deadline_that_was_cleared_does_not_come() {
    run(async {
        let mut deadline = Deadline::default();
        deadline.set(Instant::now(), secs(5));
        assert!(timeout(secs(1), wait(&mut deadline)).await.is_err());
        deadline.clear();
        assert!(timeout(secs(100), wait(&mut deadline)).await.is_err());
    });
}

#[test]
fn the_longest_wait_of_all_is_no_overflow() {
    run(async {
        let mut deadline = Deadline::default();
        deadline.set(Instant::now(), Duration::MAX);
        advance(secs(1_000_000)).await;
        assert!(timeout(secs(1), wait(&mut deadline)).await.is_err());
    });
}

/// One call of a writer.
#[derive(Debug, Clone)]
enum Call {
    Push(usize),
    WriteOrKeep(usize),
    Flush,
    /// The other side reads so many bytes.
    Read(usize),
    Shrink,
}

fn call() -> impl Strategy<Value = Call> {
    let length = || prop_oneof![0..4_usize, 10..3_000_usize, 10_000..100_000_usize];
    prop_oneof![
        length().prop_map(Call::Push),
        length().prop_map(Call::WriteOrKeep),
        Just(Call::Flush),
        length().prop_map(Call::Read),
        Just(Call::Shrink),
    ]
}

/// Reads what is there, at most `most` bytes.
async fn read(stream: &mut Transport, most: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        let left = most - bytes.len();
        let part = poll_fn(|cx| {
            Poll::Ready(match scratch::poll_read(stream, cx, left, |_, bytes| bytes.to_vec()) {
                Poll::Ready(read) => read.expect("the pipe is open"),
                Poll::Pending => Vec::new(),
            })
        });
        let part = part.await;
        if part.is_empty() {
            break;
        }
        bytes.extend(part);
        tokio::task::yield_now().await;
    }
    bytes
}

proptest! {
    #[test]
    fn a_backlog_writes_everything_once_and_in_order(calls in prop::collection::vec(call(), 1..40), pipe in 1..5_000_usize) {
        let (written, heard, counted) = run(async {
            let (ours, theirs) = duplex(pipe);
            let (mut stream, mut theirs) = (Transport::Memory(ours), Transport::Memory(theirs));
            let mut backlog = Backlog::default();
            let (mut written, mut heard, mut sent) = (Vec::new(), Vec::new(), 0);
            for (nth, call) in calls.into_iter().enumerate() {
                let text = |length: usize| crate::world::noise(length + nth)[nth..].to_vec();
                match call {
                    Call::Push(length) => {
                        backlog.push(&text(length));
                        written.extend(text(length));
                    }
                    Call::WriteOrKeep(length) => {
                        let bytes = text(length);
                        let step = poll_fn(|cx| Poll::Ready(backlog.write_or_keep(&mut stream, cx, &bytes, &mut sent)));
                        step.await.expect("the pipe is open");
                        written.extend(bytes);
                    }
                    Call::Flush => {
                        let step = poll_fn(|cx| Poll::Ready(backlog.poll_write(&mut stream, cx, &mut sent).is_ready()));
                        assert_eq!(step.await, backlog.is_empty());
                    }
                    Call::Read(length) => heard.extend(read(&mut theirs, length).await),
                    Call::Shrink => backlog.shrink(),
                }
                tokio::task::yield_now().await;
                assert_eq!(sent as usize + backlog.len(), written.len());
            }
            let rest = async {
                let mut rest = Vec::new();
                let Transport::Memory(mut theirs) = theirs else { unreachable!("it was made of a pipe") };
                theirs.read_to_end(&mut rest).await.expect("the pipe is open");
                rest
            };
            let flush = async {
                poll_fn(|cx| backlog.poll_write(&mut stream, cx, &mut sent)).await.expect("the pipe is open");
                drop(stream);
            };
            let (rest, ()) = tokio::join!(rest, flush);
            heard.extend(rest);
            (written, heard, sent)
        });
        prop_assert_eq!(counted as usize, written.len());
        prop_assert!(heard == written, "{} of {} bytes", heard.len(), written.len());
    }
}
