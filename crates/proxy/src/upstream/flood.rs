//! Lines of the error log that would come by the thousand a second, one for each request.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many lines are written in one window; the rest is counted.
const LINES_MAX: u32 = 5;

/// How long lines are counted together.
const WINDOW: Duration = Duration::from_secs(1);

/// A flood of equal lines.
#[derive(Debug, Default)]
pub(super) struct Flood(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    ends: Instant,
    lines: u32,
}

/// What becomes of one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// It is written.
    Written,
    /// It is the first that is not: how many they were is to be asked at this time.
    CountedUntil(Instant),
    /// It is counted.
    Counted,
}

impl Flood {
    /// One more line.
    pub(super) fn line(&self, now: Instant) -> Line {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A window with lines that were counted is over when they were told, which takes no other window's time unless who
        // wanted to tell is gone with its worker.
        let is_over =
            |window: &mut Window| now >= window.ends && (window.lines <= LINES_MAX || now >= window.ends + WINDOW);
        if window.as_mut().is_none_or(is_over) {
            *window = Some(Window { ends: now + WINDOW, lines: 0 });
        }
        let window = window.as_mut().expect("it was just made where there was none");
        window.lines = window.lines.saturating_add(1);
        match window.lines {
            ..=LINES_MAX => Line::Written,
            lines if lines == LINES_MAX + 1 => Line::CountedUntil(window.ends),
            _ => Line::Counted,
        }
    }

    /// Ends the window: how many lines were left out.
    pub(super) fn left_out(&self) -> u32 {
        let window = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        window.map_or(0, |window| window.lines.saturating_sub(LINES_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_a_second_are_written_and_the_rest_is_counted() {
        let (flood, now) = (Flood::default(), Instant::now());
        for _ in 0..LINES_MAX {
            assert_eq!(flood.line(now), Line::Written);
        }
        assert_eq!(flood.line(now), Line::CountedUntil(now + WINDOW));
        assert_eq!(flood.line(now + WINDOW), Line::Counted);
        assert_eq!(flood.left_out(), 2);
        assert_eq!(flood.line(now + WINDOW), Line::Written);
    }

    #[test]
    fn a_number_that_nobody_asks_for_does_not_silence_the_log() {
        let (flood, now) = (Flood::default(), Instant::now());
        for _ in 0..LINES_MAX * 2 {
            flood.line(now);
        }
        assert_eq!(flood.line(now + WINDOW), Line::Counted);
        assert_eq!(flood.line(now + WINDOW * 2), Line::Written);
    }

    #[test]
    fn lines_with_time_between_them_are_all_written() {
        let (flood, mut now) = (Flood::default(), Instant::now());
        for _ in 0..20 {
            assert_eq!(flood.line(now), Line::Written);
            now += WINDOW;
        }
    }
}
