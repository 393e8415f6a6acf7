//! Logs: opened once, shared by all threads, reopened on `USR1`. A log is a file, or a syslog server.

use super::complaints::{self, Patience};
use super::error_log::os_error;
use super::syslog::Channel;
use arc_swap::{ArcSwap, ArcSwapOption};
use culvert_conf::config::{Batch, Level, LogTarget};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use super::log_buffer::{append, flush, flush_all};

/// A log. Lines are appended to a file in one `write` each, so that threads need no lock (`O_APPEND`).
#[derive(Debug)]
pub(crate) struct LogFile {
    target: LogTarget,
    sink: Sink,
    /// How lines are gathered; `None`: they are written as soon as there is time.
    batch: ArcSwapOption<Batch>,
    patience: Patience,
}

#[derive(Debug)]
enum Sink {
    /// It is open.
    File(ArcSwap<File>),
    /// It is opened for each write.
    Path(PathBuf),
    Syslog(Channel),
}

impl LogFile {
    /// Opens `target`; a file is opened for appending, and made where there is none. The error is nginx's message.
    pub(super) fn open(target: &LogTarget) -> Result<Arc<LogFile>, String> {
        let sink = match target {
            LogTarget::Syslog(syslog) => Sink::Syslog(Channel::new(syslog)?),
            _ => Sink::File(ArcSwap::from_pointee(open(target).map_err(|error| open_failed(target, &error))?)),
        };
        Ok(LogFile::with(target.clone(), sink))
    }

    /// A file that is opened whenever something is written to it: its path is known by a request alone.
    pub(super) fn at(path: &Path) -> Arc<LogFile> {
        LogFile::with(LogTarget::File(path.to_owned()), Sink::Path(path.to_owned()))
    }

    fn with(target: LogTarget, sink: Sink) -> Arc<LogFile> {
        Arc::new(LogFile { target, sink, batch: ArcSwapOption::empty(), patience: Patience::default() })
    }

    /// Opens the path anew, after a rotation moved the file away. The old file stays in use where that fails.
    fn reopen(&self) -> Result<(), String> {
        if let Sink::File(file) = &self.sink {
            file.store(Arc::new(open(&self.target).map_err(|error| open_failed(&self.target, &error))?));
        }
        Ok(())
    }

    /// Lends the open file; `None` for what is none.
    pub(crate) fn with_file<T>(&self, act: impl FnOnce(&File) -> T) -> Option<T> {
        match &self.sink {
            Sink::File(file) => Some(act(&file.load())),
            Sink::Path(_) | Sink::Syslog(_) => None,
        }
    }

    /// Where it writes.
    pub(crate) fn target(&self) -> &LogTarget {
        &self.target
    }

    /// How lines are gathered.
    pub(super) fn batch(&self) -> Option<Arc<Batch>> {
        self.batch.load_full()
    }

    /// Whether each line is sent by itself.
    pub(super) fn is_syslog(&self) -> bool {
        matches!(self.sink, Sink::Syslog(_))
    }

    /// Appends whole lines; to a syslog server one line, with the severity of access log lines. A full disk must not stop
    /// traffic: what can't be written is lost and counted, and the error log says so once a minute.
    pub(super) fn write(&self, lines: &[u8]) {
        let gzip = self.batch.load().as_ref().and_then(|batch| batch.gzip);
        let written = match (&self.sink, gzip) {
            (Sink::Syslog(channel), _) => channel.send(channel.severity(), lines),
            (Sink::File(file), None) => (&**file.load()).write_all(lines),
            (Sink::File(file), Some(level)) => {
                compress(lines, level).and_then(|bytes| (&**file.load()).write_all(&bytes))
            }
            (Sink::Path(path), _) => match append_to(path) {
                Ok(mut file) => file.write_all(lines),
                Err(error) => return complaints::open_failed(path, &error),
            },
        };
        if let Err(error) = written {
            self.lost(&error);
        }
    }

    /// Appends a line of the error log.
    pub(super) fn write_error(&self, level: Level, line: &[u8]) {
        match &self.sink {
            Sink::Syslog(channel) => {
                if let Err(error) = channel.send(level, line) {
                    self.lost(&error);
                }
            }
            Sink::File(_) | Sink::Path(_) => self.write(line),
        }
    }

    fn lost(&self, error: &io::Error) {
        let error = os_error(error);
        match &self.target {
            LogTarget::Syslog(_) => {
                self.patience.complain(Level::Error, format_args!("send() to syslog failed ({error})"))
            }
            target => {
                let path = shown(target);
                self.patience.complain(Level::Alert, format_args!("write() to \"{path}\" failed ({error})"));
            }
        }
    }
}

fn open(target: &LogTarget) -> io::Result<File> {
    match target {
        LogTarget::File(path) => append_to(path),
        LogTarget::Stderr | LogTarget::Syslog(_) => Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?)),
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Each batch is a member of its own, so that a file that was cut still opens (RFC 1952 section 2.2).
fn compress(lines: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
    encoder.write_all(lines)?;
    encoder.finish()
}

/// Opens a file that is to stay open, for a path with variables.
pub(super) fn keep_open(path: &Path) -> io::Result<Arc<LogFile>> {
    let file = append_to(path)?;
    Ok(LogFile::with(LogTarget::File(path.to_owned()), Sink::File(ArcSwap::from_pointee(file))))
}

/// All logs of a configuration by what names them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogFiles {
    files: HashMap<LogTarget, Arc<LogFile>>,
}

impl LogFiles {
    /// Opens what is new in `targets`, takes over from `before` what stays. The errors are nginx's messages.
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
                    Err(known) if errors.contains(&known) => {}
                    Err(message) => errors.push(message),
                },
            }
        }
        (LogFiles { files }, errors)
    }

    /// Says how the lines of the files are gathered from now on: as `batches` have it, the others not at all.
    pub(crate) fn gather<'a>(&self, batches: impl Iterator<Item = (&'a LogTarget, Batch)>) {
        let batches: HashMap<&LogTarget, Batch> = batches.collect();
        for (target, file) in &self.files {
            file.batch.store(batches.get(target).copied().map(Arc::new));
        }
    }

    /// The open log of `target`.
    pub(crate) fn of(&self, target: &LogTarget) -> Option<&Arc<LogFile>> {
        self.files.get(target)
    }

    /// Reopens every file. Returns a message for each that could not be.
    pub(crate) fn reopen(&self) -> Vec<String> {
        self.files.values().filter_map(|file| file.reopen().err()).collect()
    }
}

fn open_failed(target: &LogTarget, error: &io::Error) -> String {
    format!("[emerg] open() \"{}\" failed ({})", shown(target), os_error(error))
}

fn shown(target: &LogTarget) -> String {
    match target {
        LogTarget::File(path) => path.display().to_string(),
        LogTarget::Stderr => "stderr".into(),
        LogTarget::Syslog(_) => "syslog".into(),
    }
}
