//! What holds for every sequence of arrivals, freed slots, departures and time.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Join,
    Free,
    Took(usize),
    Again(usize),
    Cancel(usize),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Join),
        3 => Just(Step::Free),
        2 => any::<usize>().prop_map(Step::Took),
        1 => any::<usize>().prop_map(Step::Again),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => (0..700_u64).prop_map(Step::Pass),
    ]
}

/// What the queue should be: who waits and who is woken, in the order of their arrival.
#[derive(Default)]
struct Model {
    waiting: Vec<(Place, Instant)>,
    woken: Vec<Place>,
    /// Slots that woken requests were told of, and have not used or passed on.
    slots: usize,
}

const LENGTH_MAX: usize = 8;
const TIMEOUT: Duration = Duration::from_millis(1000);

impl Model {
    fn wakes(&mut self, answer: Option<Place>) {
        let oldest = self.waiting.first().map(|&(place, _)| place);
        assert_eq!(answer, oldest, "the oldest goes first");
        if let Some(place) = answer {
            self.waiting.remove(0);
            self.woken.push(place);
            self.slots += 1;
        }
    }

    fn any_woken(&self, choice: usize) -> Option<Place> {
        (!self.woken.is_empty()).then(|| self.woken[choice % self.woken.len()])
    }

    fn leaves_woken(&mut self, place: Place) {
        self.woken.retain(|&other| other != place);
        self.slots -= 1;
    }

    fn any(&self, choice: usize) -> Option<Place> {
        let all: Vec<Place> = self.waiting.iter().map(|&(place, _)| place).chain(self.woken.clone()).collect();
        (!all.is_empty()).then(|| all[choice % all.len()])
    }
}

fn take(queue: &mut Queue<u32>, model: &mut Model, now: &mut Instant, step: &Step) {
    match *step {
        Step::Join => match queue.join(*now, 0) {
            Ok(place) => model.waiting.push((place, *now + TIMEOUT)),
            Err(Full) => assert_eq!(model.waiting.len() + model.woken.len(), LENGTH_MAX),
        },
        Step::Free => {
            let answer = queue.slot_freed().map(|(place, _)| place);
            model.wakes(answer);
        }
        Step::Took(choice) => {
            let Some(place) = model.any_woken(choice) else { return };
            assert!(queue.took(place).is_some());
            model.leaves_woken(place);
        }
        Step::Again(choice) => {
            let Some(place) = model.any_woken(choice) else { return };
            queue.again(place);
            model.leaves_woken(place);
            let deadline = queue.entries[&place.0].deadline;
            model.waiting.push((place, deadline));
            model.waiting.sort();
        }
        Step::Cancel(choice) => {
            let Some(place) = model.any(choice) else { return };
            let answer = queue.cancel(place).map(|(place, _)| place);
            if model.woken.contains(&place) {
                model.leaves_woken(place);
                model.wakes(answer);
            } else {
                assert_eq!(answer, None);
                model.waiting.retain(|&(other, _)| other != place);
            }
        }
        Step::Pass(millis) => {
            *now += Duration::from_millis(millis);
            let gone: Vec<Place> = queue.expire(*now).into_iter().map(|(place, _)| place).collect();
            let due = model.waiting.iter().filter(|&&(_, deadline)| deadline <= *now);
            assert_eq!(gone, due.map(|&(place, _)| place).collect::<Vec<_>>());
            model.waiting.retain(|&(_, deadline)| deadline > *now);
        }
    }
}

proptest! {
    #[test]
    fn the_queue_is_fair_bounded_and_loses_no_slot(steps in prop::collection::vec(step(), 0..200)) {
        let (mut queue, mut model, mut now) = (Queue::new(LENGTH_MAX, TIMEOUT), Model::default(), Instant::now());
        for step in &steps {
            take(&mut queue, &mut model, &mut now, step);
            prop_assert!(queue.len() <= LENGTH_MAX);
            prop_assert_eq!(queue.len(), model.waiting.len() + model.woken.len());
            prop_assert_eq!(queue.has_waiting(), !model.waiting.is_empty());
            prop_assert_eq!(model.slots, model.woken.len());
            prop_assert_eq!(queue.next_deadline(), model.waiting.first().map(|&(_, deadline)| deadline));
        }
    }
}
