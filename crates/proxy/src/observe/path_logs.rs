//! Access logs whose paths have variables: one request's log may be another file than the next one's.
//!
//! Such a file is opened for each batch of lines that a worker writes, unless `open_log_file_cache` keeps it open. What the
//! cache keeps is the thread's own.

use super::complaints;
use super::log_file::{self, LogFile};
use culvert_conf::config::LogFileCache;
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// A file of a path with variables, and how it is used.
struct Known {
    log: Arc<LogFile>,
    /// Whether it is kept open.
    is_open: bool,
    used: Instant,
    /// How often, since it was last forgotten.
    uses: u32,
    /// When the path was last looked at.
    looked: Instant,
}

thread_local! {
    static KNOWN: RefCell<HashMap<PathBuf, Known>> = RefCell::default();
    /// Those that nothing keeps open: lines of one moment share a buffer, and are written at once.
    static RECENT: RefCell<HashMap<PathBuf, Weak<LogFile>>> = RefCell::default();
}

/// The log at `path`.
pub(crate) fn at(path: &Path, cache: Option<&LogFileCache>) -> Arc<LogFile> {
    match cache {
        Some(cache) => KNOWN.with_borrow_mut(|known| cached(known, path, cache, Instant::now())),
        None => RECENT.with_borrow_mut(|recent| {
            if let Some(log) = recent.get(path).and_then(Weak::upgrade) {
                return log;
            }
            recent.retain(|_, log| log.strong_count() > 0);
            let log = LogFile::at(path);
            recent.insert(path.to_owned(), Arc::downgrade(&log));
            log
        }),
    }
}

fn cached(known: &mut HashMap<PathBuf, Known>, path: &Path, cache: &LogFileCache, now: Instant) -> Arc<LogFile> {
    known.retain(|_, one| now.saturating_duration_since(one.used) <= cache.inactive);
    if !known.contains_key(path) && known.len() >= cache.max {
        let oldest = known.iter().min_by_key(|(_, one)| one.used).map(|(path, _)| path.clone());
        oldest.and_then(|path| known.remove(&path));
    }
    let one = known.entry(path.to_owned()).or_insert_with(|| Known::new(path, now));
    one.uses = one.uses.saturating_add(1);
    one.used = now;
    if one.is_open && now.saturating_duration_since(one.looked) > cache.valid {
        one.looked = now;
        one.is_open = is_same(&one.log, path);
    }
    if !one.is_open && one.uses >= cache.min_uses {
        match log_file::keep_open(path) {
            Ok(log) => (one.log, one.is_open, one.looked) = (log, true, now),
            Err(error) => complaints::open_failed(path, &error),
        }
    }
    one.log.clone()
}

impl Known {
    fn new(path: &Path, now: Instant) -> Known {
        Known { log: LogFile::at(path), is_open: false, used: now, uses: 0, looked: now }
    }
}

/// Whether the path still leads to the open file, which a rotation may have moved.
fn is_same(log: &LogFile, path: &Path) -> bool {
    let open = log.with_file(|file| file.metadata().map(|it| (it.dev(), it.ino())).ok()).flatten();
    open.is_some() && open == std::fs::metadata(path).map(|it| (it.dev(), it.ino())).ok()
}

/// Lets go of all files, when the logs are reopened.
pub(crate) fn forget() {
    KNOWN.with_borrow_mut(HashMap::clear);
}
