//! Slots that are used again, with keys that tell the users apart.

/// A slot's number, and which of its users is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    index: u32,
    serial: u32,
}

impl Key {
    pub(super) fn to_u64(self) -> u64 {
        u64::from(self.serial) << 32 | u64::from(self.index)
    }

    pub(super) fn from_u64(key: u64) -> Key {
        Key { index: key as u32, serial: (key >> 32) as u32 }
    }
}

struct Slot<T> {
    serial: u32,
    value: Option<T>,
}

/// Values by key. The memory of a removed value is used by the next.
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    empty: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { slots: Vec::new(), empty: Vec::new() }
    }
}

impl<T> Slots<T> {
    pub(super) fn insert(&mut self, value: T) -> Key {
        if let Some(index) = self.empty.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return Key { index, serial: slot.serial };
        }
        let index = u32::try_from(self.slots.len()).expect("descriptors run out far earlier");
        if self.slots.len() == self.slots.capacity() {
            // Doubling would leave as much unused as is used, on a gateway that counts every byte of an idle socket.
            self.slots.reserve_exact(64.max(self.slots.len() / 8));
        }
        self.slots.push(Slot { serial: 0, value: Some(value) });
        Key { index, serial: 0 }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.serial == key.serial { slot.value.as_mut() } else { None }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize).filter(|slot| slot.serial == key.serial)?;
        let value = slot.value.take()?;
        slot.serial = slot.serial.wrapping_add(1);
        self.empty.push(key.index);
        Some(value)
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.value.is_some());
        used.map(|(index, slot)| Key { index: index as u32, serial: slot.serial }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_finds_its_value_and_no_later_one_of_the_same_slot() {
        let mut slots = Slots::default();
        let (first, second) = (slots.insert("first"), slots.insert("second"));
        assert_eq!(slots.get_mut(first), Some(&mut "first"));
        assert_eq!(slots.remove(first), Some("first"));
        let third = slots.insert("third");
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get_mut(second), Some(&mut "second"));
        assert_eq!(slots.get_mut(third), Some(&mut "third"));
    }

    #[test]
    fn a_key_survives_the_way_through_a_number() {
        let mut slots = Slots::default();
        let first = slots.insert(1);
        slots.remove(first);
        let key = slots.insert(2);
        assert_eq!(Key::from_u64(key.to_u64()), key);
        assert_eq!(slots.keys(), [key]);
    }
}
