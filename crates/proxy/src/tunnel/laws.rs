//! What holds for every conversation through a tunnel, however it is split, stalled and ended.

use crate::world::{End, World, noise};
use proptest::prelude::*;
use std::time::Duration;

const CHAT: &str = "upstream chat { server backend-1; } server { location / { proxy_pass http://chat; } }";

/// What happens next on one side.
#[derive(Debug, Clone, Copy)]
enum Move {
    /// It sends so many bytes, as far as they are taken.
    Send(usize),
    /// It reads at most so many bytes.
    Read(usize),
    /// It ends its direction.
    End,
}

/// One side, what it has sent, and what it has heard.
struct Talker {
    end: End,
    sent: usize,
    heard: Vec<u8>,
    ended: bool,
}

impl Talker {
    fn new(end: End) -> Talker {
        Talker { end, sent: 0, heard: Vec::new(), ended: false }
    }

    fn act(&mut self, next: Move, speech: &[u8]) {
        match next {
            Move::Send(length) if !self.ended => {
                let until = speech.len().min(self.sent + length);
                self.sent += self.end.says_what_fits(&speech[self.sent..until]);
            }
            Move::Read(length) => self.heard.extend(self.end.sips(length)),
            Move::End if !self.ended => {
                self.ended = true;
                self.end.half_closes();
            }
            _ => {}
        }
    }
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![1..10_usize, 100..5_000_usize, 10_000..400_000_usize]
}

fn step() -> impl Strategy<Value = (bool, Move, u64)> {
    let what = prop_oneof![
        8 => length().prop_map(Move::Send),
        8 => length().prop_map(Move::Read),
        1 => Just(Move::End),
    ];
    (any::<bool>(), what, prop_oneof![3 => Just(0_u64), 1 => 1..5_000_u64])
}

fn pipe() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(17), Just(1024), Just(64 * 1024), Just(1 << 20)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_schedule_delivers_exactly_what_was_sent(
        steps in prop::collection::vec(step(), 1..60),
        client_pipe in pipe(),
        server_pipe in pipe(),
    ) {
        // A pipe of one byte moves one byte per wake-up: small speeches are enough for it.
        let most = if client_pipe.min(server_pipe) < 100 { 300 } else { 3 << 20 };
        let (up, mut down) = (noise(most), noise(most));
        down.reverse();
        let world = World::with_pipes(CHAT, client_pipe.max(256), server_pipe);
        let (browser, backend) = world.upgrade("/");
        let (mut browser, mut backend) = (Talker::new(browser), Talker::new(backend));
        for (at_browser, what, pause) in steps {
            match at_browser {
                true => browser.act(what, &up),
                false => backend.act(what, &down),
            }
            world.passes(Duration::from_millis(pause));
        }
        // Whatever state that left: both sides end, and both hear all.
        browser.act(Move::End, &up);
        backend.act(Move::End, &down);
        while !(browser.end.has_heard_the_end() && backend.end.has_heard_the_end()) {
            let before = browser.heard.len() + backend.heard.len();
            browser.heard.extend(browser.end.hears_all());
            backend.heard.extend(backend.end.hears_all());
            prop_assert!(browser.heard.len() + backend.heard.len() > before, "the tunnel stands still");
        }
        browser.heard.extend(browser.end.hears_all());
        backend.heard.extend(backend.end.hears_all());
        prop_assert!(backend.heard == up[..browser.sent], "{} of {} bytes upwards", backend.heard.len(), browser.sent);
        prop_assert!(browser.heard == down[..backend.sent], "{} of {} bytes downwards", browser.heard.len(), backend.sent);
        browser.end.is_closed();
        backend.end.is_closed();
    }
}
