//! From an integer straight to a slot: pages of slots over the range where keys lie densely.
//!
//! Keys are 64-bit codes in the order of the integers (signed ones with the sign bit flipped). A
//! page is made when a key falls into it and the range covered stays in proportion to the number
//! of keys; keys outside belong to the index's hash tables. Nothing is ever rebuilt as a whole.

use std::collections::VecDeque;

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

const PAGE_BITS: u32 = 10;
const PAGE: usize = 1 << PAGE_BITS;
/// Pages that may be spanned however few keys there are.
const FREE_SPAN: u64 = 64;
/// Keys that a further page of span must be worth, so at most 32 bytes go to one key.
const KEYS_PER_PAGE: u64 = 128;

/// The dense part of an index over one integer column.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// Number (code / page size) of the first page.
    first: u64,
    pages: VecDeque<Option<Page>>,
    len: usize,
}

#[derive(Debug)]
struct Page {
    slots: Box<[u32; PAGE]>,
    used: u32,
}

impl Directory {
    /// Keys held.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The slot of a code, [`NONE`] where its page has none; `None` where no page covers it.
    #[inline]
    pub(super) fn get(&self, code: u64) -> Option<u32> {
        let page = self.pages.get(self.place(code)?)?.as_ref()?;
        Some(page.slots[code as usize % PAGE])
    }

    /// Makes a page for a code if the span then covered suits `keys`, the keys of the whole index.
    /// The codes of the new page; `None` if there is none.
    pub(super) fn cover(
        &mut self,
        code: u64,
        keys: usize,
    ) -> Option<std::ops::RangeInclusive<u64>> {
        let number = code >> PAGE_BITS;
        if self.pages.is_empty() {
            self.first = number;
        }
        let last = (self.first + self.pages.len() as u64).saturating_sub(1);
        let span = last.max(number) - self.first.min(number);
        if span > FREE_SPAN + keys as u64 / KEYS_PER_PAGE {
            return None;
        }
        while number < self.first {
            self.pages.push_front(None);
            self.first -= 1;
        }
        let place = (number - self.first) as usize;
        while self.pages.len() <= place {
            self.pages.push_back(None);
        }
        self.pages[place].get_or_insert_with(|| Page { slots: Box::new([NONE; PAGE]), used: 0 });
        let start = number << PAGE_BITS;
        Some(start..=start + (PAGE as u64 - 1))
    }

    /// Puts a slot at a code whose page exists.
    pub(super) fn set(&mut self, code: u64, slot: u32) {
        let Some(page) = self.page_mut(code) else { return };
        let cell = &mut page.slots[code as usize % PAGE];
        let added = *cell == NONE;
        *cell = slot;
        page.used += u32::from(added);
        self.len += usize::from(added);
    }

    /// Removes a code that is held; an empty page goes with it.
    pub(super) fn remove(&mut self, code: u64) {
        let Some(page) = self.page_mut(code) else { return };
        page.slots[code as usize % PAGE] = NONE;
        page.used -= 1;
        let empty = page.used == 0;
        self.len -= 1;
        if empty && let Some(place) = self.place(code) {
            self.pages[place] = None;
            self.trim();
        }
    }

    /// The first code held at or after this one, and its slot.
    pub(super) fn next(&self, code: u64) -> Option<(u64, u32)> {
        let number = (code >> PAGE_BITS).max(self.first);
        let from = (number - self.first) as usize;
        for (place, page) in self.pages.iter().enumerate().skip(from) {
            let Some(page) = page else { continue };
            let start = (self.first + place as u64) << PAGE_BITS;
            let skip = code.saturating_sub(start) as usize;
            let found = page.slots.iter().enumerate().skip(skip).find(|(_, slot)| **slot != NONE);
            if let Some((i, slot)) = found {
                return Some((start + i as u64, *slot));
            }
        }
        None
    }

    #[inline]
    fn place(&self, code: u64) -> Option<usize> {
        usize::try_from((code >> PAGE_BITS).checked_sub(self.first)?).ok()
    }

    fn page_mut(&mut self, code: u64) -> Option<&mut Page> {
        let place = self.place(code)?;
        self.pages.get_mut(place)?.as_mut()
    }

    fn trim(&mut self) {
        while let Some(None) = self.pages.back() {
            self.pages.pop_back();
        }
        while let Some(None) = self.pages.front() {
            self.pages.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(directory: &mut Directory, code: u64, slot: u32) -> bool {
        let covered =
            directory.get(code).is_some() || directory.cover(code, directory.len()).is_some();
        if covered {
            directory.set(code, slot);
        }
        covered
    }

    #[test]
    fn covers_dense_ranges_wherever_they_begin() {
        let mut directory = Directory::default();
        let base = (1 << 63) + 5_000_000;
        for i in 0..200_000u64 {
            assert!(put(&mut directory, base + i, i as u32));
        }
        assert!(put(&mut directory, base - 3000, 7));
        assert_eq!(directory.get(base + 199_999), Some(199_999));
        assert_eq!(directory.get(base - 3000), Some(7));
        assert_eq!(directory.get(base - 2999), Some(NONE));
        assert_eq!(directory.get(1), None);
        assert!(!put(&mut directory, 1, 1), "far outside");
        assert!(!put(&mut directory, u64::MAX, 1), "far outside");
        assert_eq!(directory.len(), 200_001);
    }

    #[test]
    fn walks_in_order_and_forgets_empty_pages() {
        let mut directory = Directory::default();
        let codes = [3000, 5, 1023, 1024, 60_000, 0];
        for (slot, code) in codes.into_iter().enumerate() {
            assert!(put(&mut directory, code, slot as u32));
        }
        let mut walked = Vec::new();
        let mut next = Some(0);
        while let Some((code, _)) = next.and_then(|from| directory.next(from)) {
            walked.push(code);
            next = code.checked_add(1);
        }
        assert_eq!(walked, [0, 5, 1023, 1024, 3000, 60_000]);
        for code in walked {
            directory.remove(code);
        }
        assert_eq!((directory.len(), directory.pages.len()), (0, 0));
        assert!(put(&mut directory, u64::MAX, 1), "an empty directory starts anywhere");
        assert_eq!(directory.next(0), Some((u64::MAX, 1)));
    }
}
