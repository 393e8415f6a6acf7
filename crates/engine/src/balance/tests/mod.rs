//! What a balancer does, told by the letters of its peers.

mod failures;
mod memory;
mod methods;
mod nginx_picks;
mod states;
mod turns;

use super::*;
use std::time::{Duration, Instant};

/// A balancer, its clock, and what most tests do with it.
struct Upstream {
    balancer: Balancer,
    now: Instant,
}

impl Upstream {
    fn by(method: Method, specs: &[PeerSpec]) -> Upstream {
        Upstream { balancer: Balancer::new(method, specs.iter().cloned()), now: Instant::now() }
    }

    fn new(specs: &[PeerSpec]) -> Upstream {
        Upstream::by(Method::RoundRobin, specs)
    }

    fn weighted(weights: &[u32]) -> Upstream {
        Upstream::new(&weights.iter().map(|&weight| PeerSpec { weight, ..peer() }).collect::<Vec<_>>())
    }

    fn passes(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn id(&self, letter: char) -> PeerId {
        let slot = letter as usize - 'a' as usize;
        self.balancer.peers().find(|peer| peer.slot() == slot).expect("the peer is there")
    }

    fn state(&self, letter: char) -> State {
        self.balancer.status(self.id(letter)).expect("the peer is there").state
    }

    fn live(&self, letter: char) -> u32 {
        self.balancer.live(self.id(letter))
    }

    fn open(&mut self) -> Result<Ticket, NoPeer> {
        self.balancer.pick(&Request::new(&Tried::new()), self.now)
    }

    fn close(&mut self, mut ticket: Ticket) -> After {
        self.balancer.done(&mut ticket, self.now, Ending::Good)
    }

    /// One request; those of `failing` peers go on to the next. Names the peers that it came to.
    fn request(&mut self, failing: &str) -> String {
        self.request_with(failing, |_| {})
    }

    fn request_with(&mut self, failing: &str, about: impl Fn(&mut Request<'_>)) -> String {
        let (mut tried, mut route) = (Tried::new(), String::new());
        loop {
            let mut request = Request::new(&tried);
            about(&mut request);
            let Ok(mut ticket) = self.balancer.pick(&request, self.now) else { return route };
            tried.insert(ticket.peer());
            route.push(letter(&ticket));
            let fails = failing.contains(letter(&ticket));
            let ending = if fails { Ending::Failed } else { Ending::Good };
            self.balancer.done(&mut ticket, self.now, ending);
            if !fails {
                return route;
            }
        }
    }

    fn requests(&mut self, number: usize) -> String {
        (0..number).map(|_| self.request("")).collect()
    }

    /// The peers of so many requests that stay.
    fn tunnels(&mut self, number: usize) -> String {
        (0..number)
            .map(|_| {
                let ticket = self.open().expect("a peer is up");
                letter(&ticket)
            })
            .collect()
    }
}

fn peer() -> PeerSpec {
    PeerSpec::default()
}

fn letter(ticket: &Ticket) -> char {
    (b'a' + u8::try_from(ticket.peer().slot()).expect("few peers")) as char
}

fn count(picks: &str, letter: char) -> usize {
    picks.matches(letter).count()
}
