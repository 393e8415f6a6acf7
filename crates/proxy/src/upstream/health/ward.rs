//! The peers of an upstream as their probes found them.

use super::probe::{Ended, Id, Kept, Outcome, Probe};
use crate::observe::error_log::os_error;
use crate::upstream::background::View;
use crate::upstream::tls::Secure;
use crate::upstream::{Endpoint, Member};
use culvert_conf::config::{HealthCheck, Level};
use culvert_engine::balance::{Health, PeerId};
use culvert_engine::health::{Checker, Context, worst};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// All peers of an upstream and their checks.
#[derive(Default)]
pub(in crate::upstream) struct Ward {
    upstream: String,
    checks: Vec<Arc<HealthCheck>>,
    /// TLS of each.
    secure: Vec<Option<Secure>>,
    patients: HashMap<PeerId, Patient>,
    /// Counts the settings that there were; a probe of earlier ones is not believed.
    round: u64,
}

struct Patient {
    endpoint: Endpoint,
    /// One per check, in their order.
    checkers: Vec<Checker>,
    /// A connection for the next probe of each check.
    kept: Vec<Option<Kept>>,
    /// What the balancer was told.
    told: Health,
}

impl Ward {
    /// Takes over the checks of the present configuration. What the same check said of a peer before counts as it says itself.
    pub(in crate::upstream) fn take_view(&mut self, view: &View, now: Instant) {
        let before = std::mem::take(&mut self.patients);
        self.round += 1;
        self.upstream.clone_from(&view.upstream.name);
        let checks = view.upstream.config.health_checks.iter().cloned().map(Arc::new).collect();
        let old = std::mem::replace(&mut self.checks, checks);
        self.secure.clone_from(&view.upstream.check_tls);
        for member in view.upstream.members().into_iter().filter(|member| !member.is_retired) {
            let known = before.get(&member.id);
            let health = |nth: usize| {
                let same = old.get(nth)?.check.name() == self.checks[nth].check.name();
                known.filter(|_| same).map(|patient| patient.checkers[nth].health())
            };
            let patient = self.admit(&member, known.map_or(Health::Healthy, |known| known.told), health, now);
            self.patients.insert(member.id, patient);
        }
        self.tell_all(view);
    }

    /// Takes in who is new among the peers, and lets go who has left.
    pub(in crate::upstream) fn take_peers(&mut self, view: &View, now: Instant) {
        let members = view.upstream.members();
        self.patients.retain(|id, _| members.iter().any(|member| member.id == *id && !member.is_retired));
        for member in members.into_iter().filter(|member| !member.is_retired) {
            if !self.patients.contains_key(&member.id) {
                let patient = self.admit(&member, Health::Healthy, |_| None, now);
                self.patients.insert(member.id, patient);
            }
        }
        self.tell_all(view);
    }

    fn admit(&self, member: &Member, told: Health, before: impl Fn(usize) -> Option<Health>, now: Instant) -> Patient {
        let checker =
            |(nth, check): (usize, &Arc<HealthCheck>)| Checker::new(&check.check, before(nth), now, rand::random());
        Patient {
            endpoint: member.endpoint.clone(),
            checkers: self.checks.iter().enumerate().map(checker).collect(),
            kept: self.checks.iter().map(|_| None).collect(),
            told,
        }
    }

    /// The probes that are due, which are now under way, and when the next one will be.
    pub(super) fn start_due(&mut self, now: Instant) -> (Vec<(Probe, Option<Kept>)>, Option<Instant>) {
        let (mut due, mut next) = (Vec::new(), None::<Instant>);
        for (&peer, patient) in &mut self.patients {
            for (check, checker) in patient.checkers.iter_mut().enumerate() {
                let Some(at) = checker.next_probe() else { continue };
                if at > now {
                    next = Some(next.map_or(at, |known| known.min(at)));
                    continue;
                }
                checker.probe_started(now);
                let probe = Probe {
                    id: Id { peer, check, round: self.round },
                    endpoint: patient.endpoint.clone(),
                    check: self.checks[check].clone(),
                    secure: self.secure.get(check).cloned().flatten(),
                    upstream: self.upstream.clone(),
                };
                due.push((probe, patient.kept[check].take()));
            }
        }
        (due, next)
    }

    /// Hears of a probe's end.
    pub(super) fn probe_ended(&mut self, view: &View, ended: Ended, now: Instant) {
        let Ended { id, result, kept } = ended;
        let Some(patient) = self.patients.get_mut(&id.peer).filter(|_| id.round == self.round) else { return };
        let (check, checker) = (&self.checks[id.check].check, &mut patient.checkers[id.check]);
        patient.kept[id.check] = kept;
        let peer = patient.endpoint.to_string();
        let context = Context { check: check.name(), peer: &peer, upstream: &self.upstream, port: check.port };
        match result {
            Outcome::Abandoned(error) => {
                checker.probe_abandoned(now, rand::random());
                view.log(Level::Crit, format_args!("a probe could not be made ({}), {context}", os_error(&error)));
            }
            Outcome::Judged(result) => {
                if let Some(counts) = view.upstream.peer_counts(id.peer) {
                    let count = if result.is_ok() { &counts.checks_passed } else { &counts.checks_failed };
                    count.one();
                }
                if let Err(failure) = &result {
                    view.log(Level::Error, failure.log_line(&context));
                }
                if let Some(change) = checker.probe_ended(now, result, rand::random()) {
                    let level = if change.to == Health::Healthy { Level::Notice } else { Level::Warn };
                    view.log(level, change.log_line(&context));
                    patient.tell(id.peer, view);
                }
            }
        }
    }

    fn tell_all(&mut self, view: &View) {
        self.patients.iter_mut().for_each(|(id, patient)| patient.tell(*id, view));
    }
}

impl Patient {
    /// Tells the balancer what all checks together say, where that is news.
    fn tell(&mut self, id: PeerId, view: &View) {
        let health = worst(self.checkers.iter().map(Checker::health));
        if std::mem::replace(&mut self.told, health) != health {
            view.upstream.set_health(id, health);
            view.state.peer_changed.notify_one();
        }
    }
}
