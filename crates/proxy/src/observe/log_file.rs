//! Log files: opened once, shared by all threads, reopened on `USR1`.

use arc_swap::ArcSwap;
use culvert_conf::config::LogTarget;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

/// An open log. Lines are appended in one `write` each, so that threads need no lock (`O_APPEND`).
#[derive(Debug)]
pub(crate) struct LogFile {
    target: LogTarget,
    file: ArcSwap<File>,
}

impl LogFile {
    /// Opens `target` for appending; the file is made where there is none.
    pub(crate) fn open(target: &LogTarget) -> io::Result<Arc<LogFile>> {
        Ok(Arc::new(LogFile { target: target.clone(), file: ArcSwap::from_pointee(open(target)?) }))
    }

    /// Opens the path anew, after a rotation moved the file away. The old file stays in use where that fails.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        self.file.store(Arc::new(open(&self.target)?));
        Ok(())
    }

    /// Lends the open file.
    pub(crate) fn with_file<T>(&self, act: impl FnOnce(&File) -> T) -> T {
        act(&self.file.load())
    }

    /// Where it writes.
    pub(crate) fn target(&self) -> &LogTarget {
        &self.target
    }

    /// Appends whole lines. A full disk must not stop traffic: what can't be written is lost, as in nginx.
    pub(crate) fn write(&self, lines: &[u8]) {
        let file = self.file.load();
        let _ = (&**file).write_all(lines);
    }
}

fn open(target: &LogTarget) -> io::Result<File> {
    match target {
        LogTarget::File(path) => OpenOptions::new().append(true).create(true).open(path),
        LogTarget::Stderr => Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?)),
    }
}

/// All logs of a configuration by what names them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogFiles {
    files: HashMap<LogTarget, Arc<LogFile>>,
}

impl LogFiles {
    /// Opens what is new in `targets`, takes over from `before` what stays. The error is nginx's message.
    pub(crate) fn open<'a>(
        targets: impl Iterator<Item = &'a LogTarget>,
        before: Option<&LogFiles>,
    ) -> (LogFiles, Vec<String>) {
        let (mut files, mut errors) = (HashMap::new(), Vec::new());
        for target in targets {
            if files.contains_key(target) {
                continue;
            }
            match before.and_then(|before| before.files.get(target)) {
                Some(kept) => {
                    files.insert(target.clone(), kept.clone());
                }
                None => match LogFile::open(target) {
                    Ok(file) => {
                        files.insert(target.clone(), file);
                    }
                    // Many locations name the same log; one message says it all.
                    Err(error) => match open_failed(target, &error) {
                        known if errors.contains(&known) => {}
                        message => errors.push(message),
                    },
                },
            }
        }
        (LogFiles { files }, errors)
    }

    /// The open log of `target`.
    pub(crate) fn of(&self, target: &LogTarget) -> Option<&Arc<LogFile>> {
        self.files.get(target)
    }

    /// Reopens every file. Returns a message for each that could not be.
    pub(crate) fn reopen(&self) -> Vec<String> {
        let reopen = |file: &Arc<LogFile>| file.reopen().err().map(|error| open_failed(file.target(), &error));
        self.files.values().filter_map(reopen).collect()
    }
}

fn open_failed(target: &LogTarget, error: &io::Error) -> String {
    let path = match target {
        LogTarget::File(path) => path.display().to_string(),
        LogTarget::Stderr => "stderr".into(),
    };
    format!("[emerg] open() \"{path}\" failed ({})", super::error_log::os_error(error))
}

/// A buffer fuller than this is written at once, not only when the worker has nothing else to do.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFERS: RefCell<Vec<(Arc<LogFile>, Vec<u8>)>> = const { RefCell::new(Vec::new()) };
}

/// Appends to this thread's buffer of `file`; [`flush`] writes it when the worker goes to sleep.
pub(crate) fn append(file: &Arc<LogFile>, format: impl FnOnce(&mut Vec<u8>)) {
    BUFFERS.with_borrow_mut(|buffers| {
        let at = buffers.iter().position(|(known, _)| Arc::ptr_eq(known, file)).unwrap_or_else(|| {
            buffers.push((file.clone(), Vec::new()));
            buffers.len() - 1
        });
        let buffer = &mut buffers[at].1;
        format(buffer);
        if buffer.len() > BUFFER_BYTES {
            file.write(buffer);
            buffer.clear();
        }
    });
}

/// Writes all buffers of this thread. Called whenever a worker is about to wait, and when it ends, so no line waits for
/// another and none is lost.
pub(crate) fn flush() {
    BUFFERS.with_borrow_mut(|buffers| {
        for (file, buffer) in buffers.iter_mut().filter(|(_, buffer)| !buffer.is_empty()) {
            file.write(buffer);
            buffer.clear();
        }
        // A file that only this thread still knows belongs to a configuration that is gone.
        buffers.retain(|(file, _)| Arc::strong_count(file) > 1);
    });
}
