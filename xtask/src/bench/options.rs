//! The words of `cargo xtask bench`.

use super::peer::Kind;
use super::row::{self, Row};
use super::section::Section;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::Duration;

const HELP: &str = "\
Usage: cargo xtask bench [NAME]... [OPTION]...

Measures Culvert against nginx, HAProxy and Caddy, interleaved, and prints medians over all
rounds, ratios and targets. A run of everything takes about twenty minutes and writes
bench/RESULTS.md and the plots in docs/pictures.

  NAME           only these parts; --list shows what there is
  --rounds N     how often each proxy is measured (default: 5, at most 50)
  --seconds S    how long each measurement takes (default: 3, at most 60)
  --peers A,B    who is compared: culvert, culvert-raw (websocket_frames off), nginx, haproxy,
                 caddy; NAME=PROGRAM says what runs (default: all)
  --culvert PATH the Culvert that is measured (default: this tree's, which is built first)
  --sockets N    how many idle sockets there are (default: 8000)
  --one-core     the proxy shares one core with the load, instead of having its own: no wake-up
                 crosses cores, which costs more than the message on a virtual machine
  --quick        two short rounds, to see that all of it works
  --write        writes the results of a --quick run, too
  --check        fails when a figure of Culvert's is above its target
  --list         what can be measured
";

/// How often and how long at most: a bench must end by itself.
const ROUNDS_MAX: usize = 50;
const SECONDS_MAX: f64 = 60.0;

/// Idle sockets take most of a round, and scatter little.
const IDLE_ROUNDS_MAX: usize = 3;

/// What one run of the bench does.
pub(super) struct Options {
    /// Which rows.
    pub(super) rows: Vec<&'static Row>,
    /// What else.
    pub(super) sections: Vec<Section>,
    /// Whose, as they were given.
    pub(super) peers: Vec<String>,
    /// The Culvert to measure, unless it is the one built here.
    pub(super) culvert: Option<PathBuf>,
    /// How many idle sockets, if not as many as the row says.
    pub(super) sockets: Option<usize>,
    /// Whether proxies share a core with the load.
    pub(super) one_core: bool,
    /// How often each is measured.
    pub(super) rounds: usize,
    /// For how long.
    pub(super) window: Duration,
    /// Whether the results are written down.
    pub(super) write: bool,
    /// Whether a figure above its target is a failure.
    pub(super) check: bool,
}

impl Options {
    /// How often a row is measured.
    pub(super) fn rounds_of(&self, row: &Row) -> usize {
        if row.logged { self.rounds.min(IDLE_ROUNDS_MAX) } else { self.rounds }
    }

    /// How many measurements there will be.
    pub(super) fn steps(&self, peers: &[Kind]) -> usize {
        let of_row = |row: &&Row| self.rounds_of(row) * peers.iter().filter(|kind| row.concerns(**kind)).count();
        let rows: usize = self.rows.iter().map(of_row).sum();
        rows + self.sections.iter().map(|section| section.steps(self.rounds, peers)).sum::<usize>()
    }

    fn add(&mut self, name: &str) -> Result<()> {
        match Section::ALL.into_iter().find(|section| section.name() == name) {
            Some(section) => self.sections.push(section),
            None => self.rows.push(row::named(name)?),
        }
        Ok(())
    }

    /// Everything, if nothing was named. Only that is written down: half a table would replace a whole one.
    fn complete(mut self, write: bool, quick: bool) -> Result<Options> {
        if !self.rows.is_empty() || !self.sections.is_empty() {
            return if write { bail!("only a run of everything can be written down") } else { Ok(self) };
        }
        self.rows = row::ALL.iter().collect();
        self.sections = Section::ALL.to_vec();
        let is_usual = !quick && self.peers.len() == Kind::ALL.len() && self.sockets.is_none() && !self.one_core;
        self.write = write || is_usual;
        Ok(self)
    }
}

/// Reads the words; `None` when there is nothing left to do.
pub(super) fn read(words: Vec<String>) -> Result<Option<Options>> {
    use lexopt::prelude::*;
    let mut parser = lexopt::Parser::from_args(words);
    let mut options = Options {
        rows: Vec::new(),
        sections: Vec::new(),
        peers: Kind::ALL.map(|kind| kind.name().to_owned()).to_vec(),
        culvert: None,
        sockets: None,
        one_core: false,
        rounds: 5,
        window: Duration::from_secs(3),
        write: false,
        check: false,
    };
    let (mut write, mut quick) = (false, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("rounds") => options.rounds = rounds(parser.value()?.parse()?)?,
            Long("seconds") => options.window = seconds(parser.value()?.parse()?)?,
            Long("peers") => options.peers = parser.value()?.string()?.split(',').map(str::to_owned).collect(),
            Long("culvert") => options.culvert = Some(std::path::absolute(PathBuf::from(parser.value()?))?),
            Long("sockets") => options.sockets = Some(parser.value()?.parse()?),
            Long("one-core") => options.one_core = true,
            Long("quick") => (quick, options.rounds, options.window) = (true, 2, Duration::from_millis(500)),
            Long("write") => write = true,
            Long("check") => options.check = true,
            Long("list") => {
                list();
                return Ok(None);
            }
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            Value(name) => options.add(&name.string()?)?,
            other => return Err(other.unexpected().into()),
        }
    }
    options.complete(write, quick).map(Some)
}

fn list() {
    row::ALL.iter().for_each(|row| println!("{:<16} {}", row.name, row.what));
    Section::ALL.iter().for_each(|section| println!("{:<16} {}", section.name(), section.what()));
}

fn rounds(number: usize) -> Result<usize> {
    match (1..=ROUNDS_MAX).contains(&number) {
        true => Ok(number),
        false => bail!("between 1 and {ROUNDS_MAX} rounds are possible"),
    }
}

fn seconds(number: f64) -> Result<Duration> {
    match (0.1..=SECONDS_MAX).contains(&number) {
        true => Ok(Duration::from_secs_f64(number)),
        false => bail!("between 0.1 and {SECONDS_MAX} seconds are possible"),
    }
}
