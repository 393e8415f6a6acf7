//! What goes wrong with logs themselves: it is counted, and the main error log hears of it now and then.

use super::error_log::{ErrorSink, os_error};
use super::metrics::{self, Tally};
use arc_swap::ArcSwapOption;
use culvert_conf::config::Level;
use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

/// The main error log of the configuration that runs.
static EAR: ArcSwapOption<ErrorSink> = ArcSwapOption::const_empty();
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// As often as nginx repeats itself about one log.
const SECONDS_BETWEEN: u64 = 60;

/// Says who listens from now on.
pub(crate) fn listen(sink: ErrorSink) {
    EAR.store(Some(Arc::new(sink)));
}

/// One source of complaints: when it was last heard, in seconds since the first complaint of all; 0: never.
#[derive(Debug, Default)]
pub(super) struct Patience(AtomicU64);

impl Patience {
    /// A source that was never heard.
    const fn new() -> Patience {
        Patience(AtomicU64::new(0))
    }

    /// Counts a loss, and complains unless that was done within the last minute.
    pub(super) fn complain(&self, level: Level, message: impl Display) {
        metrics::count(Tally::LogLinesLost);
        let now = EPOCH.elapsed().as_secs() + 1;
        let last = self.0.load(Ordering::Relaxed);
        let is_due = last == 0 || now >= last + SECONDS_BETWEEN;
        // Noted before it is said: the ear may be the very log that is broken.
        if is_due
            && self.0.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            && let Some(ear) = &*EAR.load()
        {
            ear.write(level, 0, message);
        }
    }
}

/// A log whose path only a request knows can't be opened.
pub(super) fn open_failed(path: &Path, error: &io::Error) {
    static ALL: Patience = Patience::new();
    ALL.complain(Level::Crit, format_args!("open() \"{}\" failed ({})", path.display(), os_error(error)));
}
