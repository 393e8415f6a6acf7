//! Where a long run is: a bar on a terminal, and nothing anywhere else.

use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// The bar.
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar of so many measurements.
    pub(super) fn new(steps: usize) -> Progress {
        let bar = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{elapsed_precise} [{bar:30}] {pos}/{len}, {eta} left  {msg}");
        bar.set_style(style.expect("the template is a constant").progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_secs(1));
        Progress { bar }
    }

    /// Says what is measured now.
    pub(super) fn begins(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// A measurement is done.
    pub(super) fn advances(&self) {
        self.bar.inc(1);
    }

    /// Prints a line above the bar.
    pub(super) fn line(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
