//! The configuration's own variables: what was set or captured, or is computed by a `map`, a `geo` or a `split_clients`.

use super::write::put_some;
use crate::exchange::Exchange;
use culvert_conf::config::{Level, SlotKind};

/// Maps may ask maps; a chain longer than this is a cycle.
const MAPS_DEEP_MAX: u8 = 16;

impl Exchange {
    /// Appends what the variable has; the value of one that is computed is kept.
    pub(super) fn append_slot(&self, slot: usize, out: &mut Vec<u8>) -> bool {
        if let Some(Some(value)) = self.slots.borrow().get(slot) {
            return put_some(out, value);
        }
        match self.generation.config.http.slots[slot].kind {
            SlotKind::Assigned => self.append_unset(slot),
            SlotKind::Captured | SlotKind::Absent => false,
            SlotKind::Map(map) => self.append_computed(slot, out, || self.map(map)),
            SlotKind::Geo(geo) => self.append_computed(slot, out, || self.geo(geo)),
            SlotKind::Split(split) => self.append_computed(slot, out, || self.split(split)),
        }
    }

    /// A variable that no `set` has given a value: empty, and once a line in the log.
    fn append_unset(&self, slot: usize) -> bool {
        if self.location.uninitialized_variable_warn {
            let name = &self.generation.config.http.slots[slot].name;
            self.log(Level::Warn, format_args!("using uninitialized \"{name}\" variable"));
        }
        self.keep_slot(slot, Box::default());
        true
    }

    /// A value that may depend on other variables, kept unless it is to be computed anew each time.
    fn append_computed(&self, slot: usize, out: &mut Vec<u8>, compute: impl FnOnce() -> (Vec<u8>, bool)) -> bool {
        if self.depth.get() >= MAPS_DEEP_MAX {
            let name = &self.generation.config.http.slots[slot].name;
            self.log(Level::Error, format_args!("cycle while evaluating variable \"{name}\""));
            return false;
        }
        self.depth.set(self.depth.get() + 1);
        let (value, is_volatile) = compute();
        self.depth.set(self.depth.get() - 1);
        out.extend_from_slice(&value);
        if !is_volatile {
            self.keep_slot(slot, value.into());
        }
        true
    }

    /// Copies groups of the last match to the slots of the names that they have.
    pub(in crate::exchange) fn assign(&self, assigns: &[(usize, usize)]) {
        let captures = self.captures.borrow();
        for &(group, slot) in assigns {
            self.keep_slot(slot, captures.get(group).unwrap_or_default().into());
        }
    }

    /// Gives the variable this value.
    pub(in crate::exchange) fn keep_slot(&self, slot: usize, value: Box<[u8]>) {
        let mut slots = self.slots.borrow_mut();
        if slots.is_empty() {
            // Many requests need none of them.
            slots.resize(self.generation.config.http.slots.len(), None);
        }
        slots[slot] = Some(value);
    }
}
