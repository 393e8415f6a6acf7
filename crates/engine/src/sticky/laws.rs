//! What holds for every sequence of responses and time: the table is as a plain list would have it.

use super::*;
use proptest::prelude::*;
use std::time::Instant;

#[derive(Debug, Clone)]
enum Step {
    Learn(u8, char),
    Renew(u8, char),
    Pass(u64),
    Configure(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let server = || prop::sample::select(vec!['a', 'b', 'c']);
    prop_oneof![
        5 => (0..12_u8, server()).prop_map(|(id, server)| Step::Learn(id, server)),
        3 => (0..12_u8, server()).prop_map(|(id, server)| Step::Renew(id, server)),
        2 => (0..800_u64).prop_map(Step::Pass),
        1 => (1..9_usize).prop_map(Step::Configure),
    ]
}

const TIMEOUT: Duration = Duration::from_millis(1000);

/// Sessions in the order of their last use.
struct Model {
    sessions: Vec<(u8, char, Instant)>,
    sessions_max: usize,
}

impl Model {
    fn expire(&mut self, now: Instant) {
        self.sessions.retain(|&(_, _, used)| now - used < TIMEOUT);
    }

    fn put(&mut self, id: u8, server: char, now: Instant) {
        self.sessions.retain(|&(other, ..)| other != id);
        self.sessions.push((id, server, now));
        self.trim();
    }

    fn trim(&mut self) {
        let surplus = self.sessions.len().saturating_sub(self.sessions_max);
        self.sessions.drain(..surplus);
    }

    fn knows(&self, id: u8) -> bool {
        self.sessions.iter().any(|&(other, ..)| other == id)
    }
}

proptest! {
    #[test]
    fn the_table_is_as_a_list_would_have_it(steps in prop::collection::vec(step(), 0..200)) {
        let mut now = Instant::now();
        let mut sessions = Sessions::new(5, TIMEOUT);
        let mut model = Model { sessions: Vec::new(), sessions_max: 5 };
        for step in steps {
            sessions.expire(now);
            model.expire(now);
            match step {
                Step::Learn(id, server) => {
                    let known = model.knows(id);
                    prop_assert_eq!(sessions.learn(&[id], server, now) == Learned::Renewed, known);
                    model.put(id, server, now);
                }
                Step::Renew(id, server) => {
                    let known = model.knows(id);
                    prop_assert_eq!(sessions.renew(&[id], server, now), known);
                    if known {
                        model.put(id, server, now);
                    }
                }
                Step::Pass(millis) => now += Duration::from_millis(millis),
                Step::Configure(sessions_max) => {
                    model.sessions_max = sessions_max;
                    model.trim();
                    sessions.configure(sessions_max, TIMEOUT);
                }
            }
            model.expire(now);
            for id in 0..12 {
                let expected = model.sessions.iter().find(|&&(other, ..)| other == id).map(|(_, server, _)| server);
                prop_assert_eq!(sessions.find(&[id], now), expected);
            }
            prop_assert!(sessions.len() <= model.sessions_max);
        }
    }
}
