//! Lines on their way to a log: gathered per thread, so that no thread waits for another.

use super::log_file::LogFile;
use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::Handle;

/// A buffer fuller than this is written at once, not only when the worker has nothing else to do.
const BUFFER_BYTES: usize = 64 * 1024;

struct Buffer {
    log: Arc<LogFile>,
    lines: Vec<u8>,
}

thread_local! {
    static BUFFERS: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Appends a line to this thread's buffer of `log`; [`flush`] writes it when the worker goes to sleep, or a batch of it when
/// that is full or old enough.
pub(crate) fn append(log: &Arc<LogFile>, format: impl FnOnce(&mut Vec<u8>)) {
    if log.is_syslog() {
        let mut line = Vec::new();
        format(&mut line);
        return log.write(&line);
    }
    BUFFERS.with_borrow_mut(|buffers| {
        let at = buffers.iter().position(|buffer| Arc::ptr_eq(&buffer.log, log)).unwrap_or_else(|| {
            buffers.push(Buffer { log: log.clone(), lines: Vec::new() });
            buffers.len() - 1
        });
        buffers[at].take(format);
    });
}

impl Buffer {
    fn take(&mut self, format: impl FnOnce(&mut Vec<u8>)) {
        let before = self.lines.len();
        format(&mut self.lines);
        let batch = self.log.batch();
        let room = batch.as_ref().map_or(BUFFER_BYTES, |batch| batch.bytes);
        if self.lines.len() > room {
            // What was there goes out without the line that does not fit, so that batches are no larger than said.
            let line = self.lines.split_off(before);
            self.write();
            self.lines = line;
            if self.lines.len() > room {
                self.write();
            }
        } else if before == 0
            && let Some(wait) = batch.and_then(|batch| batch.flush)
        {
            flush_later(&self.log, wait);
        }
    }

    fn write(&mut self) {
        if !self.lines.is_empty() {
            self.log.write(&self.lines);
            self.lines.clear();
        }
    }
}

/// Writes what this thread has of the log by then. Outside a runtime nobody could wait, and nothing does.
fn flush_later(log: &Arc<LogFile>, wait: Duration) {
    let Ok(runtime) = Handle::try_current() else { return };
    let log = Arc::downgrade(log);
    runtime.spawn(async move {
        tokio::time::sleep(wait).await;
        let is_it = |buffer: &&mut Buffer| Weak::as_ptr(&log) == Arc::as_ptr(&buffer.log);
        BUFFERS.with_borrow_mut(|buffers| buffers.iter_mut().find(is_it).map(Buffer::write));
    });
}

/// Writes the buffers of this thread whose lines are to be gathered no longer. Called whenever a worker is about to wait, so
/// that no line waits for another.
pub(crate) fn flush() {
    BUFFERS.with_borrow_mut(|buffers| {
        for buffer in buffers.iter_mut() {
            // A log that only this thread still knows belongs to a configuration or a request that is gone.
            if buffer.log.batch().is_none() || Arc::strong_count(&buffer.log) == 1 {
                buffer.write();
            }
        }
        buffers.retain(|buffer| Arc::strong_count(&buffer.log) > 1);
    });
}

/// Writes all buffers of this thread, when it ends or the logs are reopened, so that none is lost.
pub(crate) fn flush_all() {
    BUFFERS.with_borrow_mut(|buffers| buffers.iter_mut().for_each(Buffer::write));
    flush();
}
