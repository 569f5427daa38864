//! A vector that grows without moving what it holds, so that no push ever waits for a copy of
//! everything and none of the memory is slack.

const SEGMENT_BITS: u32 = 14;
const SEGMENT: usize = 1 << SEGMENT_BITS;

/// A growing array addressed by slot.
#[derive(Debug)]
pub(super) struct Paged<T> {
    /// All but the last hold [`SEGMENT`] elements; the first grows like a vector until it does.
    segments: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Paged<T> {
        Paged { segments: Vec::new(), len: 0 }
    }
}

impl<T: Default> Paged<T> {
    /// Slots in use.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The element in a slot; it exists.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> &T {
        &self.segments[(slot >> SEGMENT_BITS) as usize][slot as usize % SEGMENT]
    }

    /// The element in a slot, to change; it exists.
    #[inline]
    pub(super) fn get_mut(&mut self, slot: u32) -> &mut T {
        &mut self.segments[(slot >> SEGMENT_BITS) as usize][slot as usize % SEGMENT]
    }

    /// The element in a slot, to change; the array grows to it with defaults.
    #[inline]
    pub(super) fn get_or_grow(&mut self, slot: u32) -> &mut T {
        while slot as usize >= self.len {
            self.grow();
        }
        self.get_mut(slot)
    }

    fn grow(&mut self) {
        if self.len.is_multiple_of(SEGMENT) {
            let capacity = if self.len == 0 { 0 } else { SEGMENT };
            self.segments.push(Vec::with_capacity(capacity));
        }
        if let Some(last) = self.segments.last_mut() {
            last.push(T::default());
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_defaults_and_keeps_what_was_set() {
        let mut paged = Paged::<u32>::default();
        assert_eq!(paged.len(), 0);
        for slot in [0, 5, SEGMENT as u32 - 1, SEGMENT as u32, 3 * SEGMENT as u32 + 7] {
            *paged.get_or_grow(slot) = slot + 1;
            assert_eq!(paged.len(), slot as usize + 1);
        }
        assert_eq!((*paged.get(5), *paged.get(6)), (6, 0));
        assert_eq!(*paged.get(3 * SEGMENT as u32 + 7), 3 * SEGMENT as u32 + 8);
        assert_eq!(paged.segments.len(), 4);
    }
}
