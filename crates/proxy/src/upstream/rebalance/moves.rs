//! `rebalance`: a bounded share of the tunnels goes where there are too few.

use super::crew::Survey;
use super::{BUSY, QUIET, SERVICE_RESTART};
use crate::upstream::background::{View, now};
use culvert_conf::config::Level;
use culvert_engine::balance::PeerId;
use culvert_engine::rebalance::{Load, Move, Planner, Rebalance, hint, spread_percent};
use std::collections::HashMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// A dry run says what it would do so often.
const DRY_RUN_LINE_EVERY: Duration = Duration::from_secs(10);

/// The moves within an upstream.
#[derive(Default)]
pub(super) struct Moves {
    planner: Option<Planner>,
    /// How many tunnels have gone since the spread was last under the threshold.
    moved: u64,
    told: Option<Instant>,
}

impl Moves {
    /// Moves a portion. Returns when to look again; `None`: nothing is ever moved.
    pub(super) async fn step(&mut self, view: &View) -> Option<Duration> {
        let settings = view.upstream.config.rebalance;
        if settings.rate == 0 {
            *self = Moves::default();
            return None;
        }
        let planner = self.planner.get_or_insert_with(|| Planner::new(settings));
        planner.configure(settings);
        if planner.next_tick(now()).is_some_and(|tick| tick > now()) {
            return Some(BUSY);
        }
        let mut loads = view.upstream.loads();
        let spread = spread_percent(&loads);
        if spread <= u64::from(settings.threshold_percent) {
            self.tell_end(view, spread);
            return Some(QUIET);
        }
        let surveys = survey(view, &mut loads, settings).await;
        let planner = self.planner.as_mut()?;
        let moves = planner.plan(now(), &loads);
        match settings.dry_run {
            true => self.tell_plan(view, &moves, spread),
            false => self.carry_out(view, &moves, &surveys, spread),
        }
        Some(BUSY)
    }

    fn carry_out(&mut self, view: &View, moves: &[Move<PeerId>], surveys: &HashMap<PeerId, Survey>, spread: u64) {
        let settings = view.upstream.config.rebalance;
        if self.moved == 0 && !moves.is_empty() {
            let (name, threshold) = (&view.upstream.name, settings.threshold_percent);
            view.log(
                Level::Notice,
                format_args!("rebalancing, spread {spread}%, threshold {threshold}%, upstream: \"{name}\""),
            );
        }
        for one in moves {
            let Some(survey) = surveys.get(&one.from) else { continue };
            let count = usize::try_from(one.count).unwrap_or(usize::MAX);
            let sent = survey.send_away(settings.order, count, SERVICE_RESTART, || reason(settings));
            view.upstream.counts().rebalanced.add(sent);
            self.moved += sent;
        }
    }

    fn tell_plan(&mut self, view: &View, moves: &[Move<PeerId>], spread: u64) {
        let is_soon = self.told.is_some_and(|told| now().saturating_duration_since(told) < DRY_RUN_LINE_EVERY);
        if moves.is_empty() || is_soon {
            return;
        }
        self.told = Some(now());
        let members = view.upstream.members();
        let mut list = String::new();
        for one in moves {
            let member = members.iter().find(|member| member.id == one.from);
            let from = member.map_or_else(|| "a server that is gone".to_owned(), |member| member.endpoint.to_string());
            // Writing to a string does not fail.
            let _ = write!(list, " {} tunnels of {from},", one.count);
        }
        view.log(
            Level::Notice,
            format_args!("rebalancing would now close{list} spread {spread}%, upstream: \"{}\"", view.upstream.name),
        );
    }

    fn tell_end(&mut self, view: &View, spread: u64) {
        let moved = std::mem::take(&mut self.moved);
        if moved > 0 {
            let name = &view.upstream.name;
            view.log(
                Level::Notice,
                format_args!("rebalanced, {moved} tunnels closed, spread {spread}%, upstream: \"{name}\""),
            );
        }
    }
}

/// Asks where tunnels may have to leave, and notes of each peer how many have been told to already.
async fn survey(view: &View, loads: &mut [Load<PeerId>], settings: Rebalance) -> HashMap<PeerId, Survey> {
    let mut surveys = HashMap::new();
    // No portion is larger than the rate.
    let most = settings.rate as usize;
    for load in loads.iter_mut().filter(|load| load.accepting && load.live > 0) {
        let survey = view.crew.survey(view.upstream.id, load.peer, settings.order, most).await;
        load.leaving = load.live.saturating_sub(survey.staying);
        surveys.insert(load.peer, survey);
    }
    surveys
}

/// The Close's reason, which tells the client when to come back.
fn reason(settings: Rebalance) -> String {
    match hint(settings.jitter, rand::random()) {
        Duration::ZERO => "rebalance".to_owned(),
        after => format!("rebalance, retry after {:.3} s", after.as_secs_f64()),
    }
}
