//! The listening sockets of the process, and which worker accepts from which.
//!
//! Each address has one socket per worker (`SO_REUSEPORT`; on a unix socket, one descriptor per worker). The supervisor
//! keeps a descriptor of each, so that a socket can move to another worker when the number of workers changes: closing
//! one would reset the connections that wait in its queue.

use super::plan::PlannedListen;
use super::privileges;
use super::worker::{Command, Worker};
use crate::listen::{self, Address, Listener};
use culvert_conf::config::Listen;

/// All listening sockets.
#[derive(Default)]
pub(super) struct Sockets {
    bound: Vec<Bound>,
    /// How many numbers of addresses were given out.
    ids: usize,
    /// How many numbers of sockets were given out.
    numbers: usize,
}

/// An address that is listened on, under the number by which workers and generations know it.
struct Bound {
    address: Address,
    id: usize,
    sockets: Vec<Owned>,
}

/// One socket, and the worker that accepts from it.
struct Owned {
    number: usize,
    listener: Listener,
    worker: Option<usize>,
}

/// Sockets that were bound for a plan but are not in service yet.
pub(super) struct Fresh(Vec<(Address, Vec<Listener>)>);

impl Sockets {
    /// Binds what `listens` needs for `workers` workers beyond what there is. Nothing changes where that fails.
    pub(super) fn bind_missing(&self, listens: &[PlannedListen], workers: usize) -> Result<Fresh, Vec<String>> {
        let (mut fresh, mut errors) = (Vec::new(), Vec::new());
        // All addresses are probed before any is bound: a probe would find the gateway's own sockets in its way.
        for listen in listens.iter().filter(|listen| !self.shares_port(&listen.address)) {
            errors.extend(listen::probe(&listen.address, &listen.options).err());
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for listen in listens {
            match self.bind_one(&listen.address, &listen.options, workers) {
                Ok(listeners) => fresh.push((listen.address.clone(), listeners)),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(Fresh(fresh)) } else { Err(errors) }
    }

    fn bind_one(&self, address: &Address, options: &Listen, workers: usize) -> Result<Vec<Listener>, String> {
        match self.bound.iter().find(|bound| bound.address == *address) {
            None => listen::bind(address, options, workers),
            Some(bound) => {
                let missing = workers.saturating_sub(bound.sockets.len());
                let model = bound.sockets.first().map(|owned| &owned.listener);
                listen::bind_more(address, options, model, missing)
            }
        }
    }

    /// An own listener on the same port is no stranger that a probe should find.
    fn shares_port(&self, address: &Address) -> bool {
        self.bound.iter().any(|bound| match (&bound.address, address) {
            (Address::Inet(bound), Address::Inet(address)) => bound.port() == address.port(),
            (bound, address) => bound == address,
        })
    }

    /// Takes `fresh` into service and gives up every address that is not in `listens`. Returns the site of each address's
    /// number, for the generation.
    pub(super) fn replace(
        &mut self,
        fresh: Fresh,
        listens: &[PlannedListen],
        workers: &[Worker],
    ) -> Vec<Option<usize>> {
        let is_planned = |address: &Address| listens.iter().any(|listen| listen.address == *address);
        for gone in self.bound.extract_if(.., |bound| !is_planned(&bound.address)) {
            gone.give_up(workers);
        }
        for (address, listeners) in fresh.0 {
            let at = self.position(address);
            for listener in listeners {
                self.bound[at].sockets.push(Owned { number: self.numbers, listener, worker: None });
                self.numbers += 1;
            }
        }
        let mut sites = vec![None; self.ids];
        for bound in &self.bound {
            sites[bound.id] = listens.iter().position(|listen| listen.address == bound.address);
        }
        sites
    }

    fn position(&mut self, address: Address) -> usize {
        self.bound.iter().position(|bound| bound.address == address).unwrap_or_else(|| {
            self.bound.push(Bound { address, id: self.ids, sockets: Vec::new() });
            self.ids += 1;
            self.bound.len() - 1
        })
    }

    /// Deals the sockets out to `workers`, each address's evenly. Returns a message for each that could not be.
    pub(super) fn deal(&mut self, workers: &[Worker]) -> Vec<String> {
        let mut errors = Vec::new();
        for bound in &mut self.bound {
            for (nth, owned) in bound.sockets.iter_mut().enumerate() {
                let target = nth % workers.len().max(1);
                if owned.worker == Some(target) {
                    continue;
                }
                match owned.listener.try_clone() {
                    Ok(listener) => {
                        if let Some(old) = owned.worker.replace(target).and_then(|old| workers.get(old)) {
                            old.tell(Command::Unlisten(owned.number));
                        }
                        workers[target].tell(Command::Listen { id: bound.id, number: owned.number, listener });
                    }
                    Err(error) => errors
                        .push(format!("[alert] a listening socket of {} can't be shared ({error})", bound.address)),
                }
            }
        }
        errors
    }

    /// Gives up every address.
    pub(super) fn close(&mut self, workers: &[Worker]) {
        self.bound.drain(..).for_each(|bound| bound.give_up(workers));
    }
}

impl Bound {
    fn give_up(self, workers: &[Worker]) {
        for owned in &self.sockets {
            if let Some(worker) = owned.worker.and_then(|worker| workers.get(worker)) {
                worker.tell(Command::Unlisten(owned.number));
            }
        }
        if let Address::Unix(path) = &self.address {
            // Somebody may have removed it already.
            let _ = privileges::raised(|| std::fs::remove_file(path));
        }
    }
}
