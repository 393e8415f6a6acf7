//! The workers, as the main thread reaches their tunnels.

use culvert_engine::balance::PeerId;
use culvert_engine::rebalance::{Candidate, Order, choose};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A worker that is this busy is asked again next time.
const ANSWER_WAIT: Duration = Duration::from_secs(1);

/// A worker's inbox. One that has ended drops what it is told.
pub(crate) trait Desk: Send + Sync {
    /// Asks which tunnels there are.
    fn ask(&self, question: Question);

    /// Tells a tunnel to go, with a Close that has this code and reason. One that is gone or going hears nothing.
    fn send_away(&self, tunnel: u64, code: u16, reason: String);
}

/// Which tunnels of a peer would go first? Answered in the worker's thread.
pub(crate) struct Question {
    /// The upstream's number.
    pub(crate) upstream: u64,
    /// The peer.
    pub(crate) peer: PeerId,
    order: Order,
    most: usize,
    answer: oneshot::Sender<Answer>,
}

/// How many tunnels there are, and the first of them.
type Answer = (u64, Vec<Candidate<u64>>);

impl Question {
    /// Answers from all tunnels of the peer that have not been told to go. Only those that may be chosen leave the thread.
    pub(crate) fn answer(self, all: &[Candidate<u64>]) {
        let chosen: BTreeSet<u64> = choose(self.order, self.most, all.iter().copied()).into_iter().collect();
        let first = all.iter().filter(|one| chosen.contains(&one.id)).copied().collect();
        // Whoever asked may have given up.
        let _ = self.answer.send((all.len() as u64, first));
    }
}

/// The workers of now.
#[derive(Clone)]
pub(crate) struct Crew(Arc<Mutex<Desks>>);

/// The inboxes of all workers.
type Desks = Arc<[Box<dyn Desk>]>;

impl Default for Crew {
    fn default() -> Crew {
        Crew(Arc::new(Mutex::new(Vec::new().into())))
    }
}

/// What the workers know of a peer's tunnels.
pub(super) struct Survey {
    /// How many there are, without those that have been told to go.
    pub(super) staying: u64,
    /// Those that would go first; each with the number of its worker.
    candidates: Vec<Candidate<(usize, u64)>>,
    /// The workers that were asked.
    desks: Desks,
}

impl Crew {
    /// Says who the workers are from now on; those that finish their last tunnels included.
    pub(crate) fn hire(&self, desks: Vec<Box<dyn Desk>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = desks.into();
    }

    /// Asks all workers for the tunnels of a peer; up to `most` of them are named, in `order`.
    pub(super) async fn survey(&self, upstream: u64, peer: PeerId, order: Order, most: usize) -> Survey {
        let desks = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut answers = Vec::with_capacity(desks.len());
        for desk in desks.iter() {
            let (answer, answered) = oneshot::channel();
            desk.ask(Question { upstream, peer, order, most, answer });
            answers.push(answered);
        }
        let mut survey = Survey { staying: 0, candidates: Vec::new(), desks };
        for (worker, answered) in answers.into_iter().enumerate() {
            if let Ok(Ok((count, first))) = timeout(ANSWER_WAIT, answered).await {
                survey.staying += count;
                let named = |one: Candidate<u64>| Candidate {
                    id: (worker, one.id),
                    opened_at: one.opened_at,
                    active_at: one.active_at,
                };
                survey.candidates.extend(first.into_iter().map(named));
            }
        }
        survey
    }
}

impl Survey {
    /// Sends away up to `count` tunnels in `order`, each with the reason that `reason` has for it. Returns how many.
    pub(super) fn send_away(&self, order: Order, count: usize, code: u16, mut reason: impl FnMut() -> String) -> u64 {
        let chosen = choose(order, count, self.candidates.iter().copied());
        for &(worker, tunnel) in &chosen {
            self.desks[worker].send_away(tunnel, code, reason());
        }
        chosen.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use culvert_engine::balance::{Balancer, Method, PeerSpec};
    use std::time::Instant;

    type Told = Arc<Mutex<Vec<(usize, u64, u16, String)>>>;

    /// A worker with tunnels that are so many seconds old.
    struct Worker {
        number: usize,
        start: Instant,
        opened: Vec<u64>,
        told: Told,
    }

    impl Desk for Worker {
        fn ask(&self, question: Question) {
            let tunnel = |(id, &second): (usize, &u64)| {
                let opened_at = self.start + Duration::from_secs(second);
                Candidate { id: id as u64, opened_at, active_at: opened_at }
            };
            question.answer(&self.opened.iter().enumerate().map(tunnel).collect::<Vec<_>>());
        }

        fn send_away(&self, tunnel: u64, code: u16, reason: String) {
            self.told.lock().expect("nobody panics").push((self.number, tunnel, code, reason));
        }
    }

    /// A worker that has ended.
    struct Gone;

    impl Desk for Gone {
        fn ask(&self, _question: Question) {}

        fn send_away(&self, _tunnel: u64, _code: u16, _reason: String) {}
    }

    fn peer() -> PeerId {
        Balancer::new(Method::RoundRobin, [PeerSpec::default()]).peers().next().expect("there is one")
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_all_workers_go_first() {
        let (told, start) = (Told::default(), Instant::now());
        let worker = |number, opened: &[u64]| {
            Box::new(Worker { number, start, opened: opened.to_vec(), told: told.clone() }) as Box<dyn Desk>
        };
        let crew = Crew::default();
        crew.hire(vec![worker(0, &[40, 10, 50]), Box::new(Gone), worker(2, &[20, 30, 60])]);
        let survey = crew.survey(1, peer(), Order::Oldest, 3).await;
        assert_eq!(survey.staying, 6);
        assert_eq!(survey.send_away(Order::Oldest, 3, 1012, || "go".into()), 3);
        let gone: Vec<_> = told.lock().expect("nobody panics").iter().map(|(worker, id, ..)| (*worker, *id)).collect();
        assert_eq!(gone, [(0, 1), (2, 0), (2, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_sent_away_where_there_are_no_workers() {
        let survey = Crew::default().survey(1, peer(), Order::Idlest, 10).await;
        assert_eq!((survey.staying, survey.send_away(Order::Idlest, 10, 1012, String::new)), (0, 0));
    }
}
