//! Any bytes from both sides, cut anywhere, through a session.
#![no_main]

use culvert_engine::websocket::{Action, OverRate, Policy, Session, Side, Summary, Validation};
use culvert_fuzz::dials::{Dials, Dice};
use culvert_fuzz::ledger::Ledger;
use culvert_fuzz::reference;
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What one input says.
struct Talk<'a> {
    policy: Arc<Policy>,
    compressed: bool,
    seed: u64,
    pause: Duration,
    client: &'a [u8],
    server: &'a [u8],
}

impl<'a> Talk<'a> {
    fn new(input: &'a [u8]) -> Self {
        let mut dials = Dials::new(input);
        let policy = Arc::new(dials.policy());
        let (flags, seed, share) = (dials.byte(), dials.byte(), dials.byte());
        let rest = dials.rest();
        let (client, server) = rest.split_at(rest.len() * usize::from(255 - share) / 255);
        let pause = Duration::from_millis(u64::from(flags >> 1) * 10);
        Self { policy, compressed: flags & 1 == 1, seed: u64::from(seed), pause, client, server }
    }

    /// Whether it is all the same how the bytes are cut: no clock runs, and no judge looks at portions.
    fn is_timeless(&self) -> bool {
        let policy = &*self.policy;
        let has_clocks = policy.ping.is_some()
            || policy.age_max.is_some()
            || policy.idle_client.is_some()
            || policy.idle_server.is_some();
        // With two sides it matters who is refused first.
        let is_one_sided = self.client.is_empty() || self.server.is_empty();
        is_one_sided
            && self.pause.is_zero()
            && !has_clocks
            && policy.bytes_rate.is_none()
            && policy.validation != Validation::Enforce
    }

    /// Plays it. Each portion is as long as `portion` says; the two sides take turns.
    fn play(&self, mut portion: impl FnMut() -> usize) -> (Vec<u8>, Vec<u8>, Summary) {
        let mut now = Instant::now();
        let mut dice = Dice::new(self.seed);
        let mut session = Session::new(Arc::clone(&self.policy), self.compressed, now, &mut || dice.roll());
        let mut ledgers = Ledger::both(&self.policy);
        let mut rest = [self.client, self.server];
        let mut is_over = false;
        while !is_over && rest.iter().any(|rest| !rest.is_empty()) {
            for from in Side::BOTH {
                let (said, after) = rest[from as usize].split_at(portion().min(rest[from as usize].len()));
                ledgers[from as usize].says(&mut session, said, now, false);
                rest[from as usize] = after;
                is_over = is_over || act(&mut session, &mut ledgers, now);
            }
            now += self.pause;
        }
        ledgers.iter().for_each(|ledger| ledger.check(&session));
        let [client, server] = ledgers.map(|ledger| ledger.passed().to_vec());
        (client, server, session.summary())
    }
}

/// Does what the session wants done. Whether it is over.
fn act(session: &mut Session, ledgers: &mut [Ledger; 2], now: Instant) -> bool {
    while let Some(action) = session.poll_action(now) {
        match action {
            Action::Send { to, frame } => {
                ledgers[to.other() as usize].sends(frame.bytes());
                let ping = &reference::frames(frame.bytes())[0];
                if ping.opcode == 9 {
                    ledgers[to as usize].asked(ping.payload(frame.bytes()));
                }
            }
            Action::End => {
                assert!(session.poll_action(now).is_none(), "something after the end");
                return true;
            }
            Action::Report(_) => {}
        }
    }
    false
}

fuzz_target!(|input: &[u8]| {
    let talk = Talk::new(input);
    let mut dice = Dice::new(talk.seed);
    let cut = talk.play(|| dice.portion());
    if talk.policy.as_ref() == &Policy::default() && cut.2.violations.count == 0 {
        assert_eq!((&cut.0[..], &cut.1[..]), (talk.client, talk.server));
    }
    if talk.is_timeless() && talk.policy.over_rate == OverRate::Slow {
        assert_eq!(cut, talk.play(|| 1), "cut into single bytes");
    }
});
