//! Packed rows side by side in pages: a row costs its bytes and little more, a row that replaces
//! one of about its length takes its place, and rows that came together lie together.
//!
//! A page holds rows of one class, that is of lengths that round up to the same number of cells,
//! or a single long row. What a removed row leaves is taken by the next of its class; pages of
//! short rows are given back only all together.

/// Bytes that lengths and places are counted in.
const CELL: usize = 8;
/// Bytes of a page of short rows.
const PAGE: usize = 1 << 16;
/// The longest row, in bytes, that shares a page.
const SHARED_MAX: usize = 1024;

/// Where a row lies; by default nowhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    page: u32,
    /// In cells.
    start: u16,
    /// In bytes; of a row that has a page for itself, [`ALONE`].
    len: u16,
}

const NOWHERE: u32 = u32::MAX;
const ALONE: u16 = u16::MAX;

impl Default for Place {
    fn default() -> Place {
        Place { page: NOWHERE, start: 0, len: 0 }
    }
}

/// The rows of one table.
#[derive(Debug, Default)]
pub(super) struct Heap {
    pages: Vec<Box<[u8]>>,
    /// Pages of long rows that went.
    free_pages: Vec<u32>,
    /// By length in cells.
    classes: Vec<Class>,
}

/// Rows of about one length.
#[derive(Debug, Default)]
struct Class {
    /// Places of rows that went.
    free: Vec<Place>,
    /// The first place never used in the last page; nowhere if that is full.
    fresh: Place,
}

impl Heap {
    /// The bytes of the row in a place; `None` for nowhere.
    #[inline]
    pub(super) fn bytes(&self, place: Place) -> Option<&[u8]> {
        let page = self.pages.get(place.page as usize)?;
        if place.len == ALONE {
            return Some(page);
        }
        let start = usize::from(place.start) * CELL;
        page.get(start..start + usize::from(place.len))
    }

    /// Puts a row into the place of another, or of none; where it lies then.
    pub(super) fn replace(&mut self, place: Place, row: &[u8]) -> Place {
        if row.len() > SHARED_MAX {
            self.free(place);
            let page = self.add_page(row.into());
            return Place { page, start: 0, len: ALONE };
        }
        let stays = place.page != NOWHERE && class(place) == Some(cells(row.len()));
        let place = if stays {
            place
        } else {
            self.free(place);
            self.take(cells(row.len()))
        };
        let start = usize::from(place.start) * CELL;
        self.pages[place.page as usize][start..start + row.len()].copy_from_slice(row);
        Place { len: row.len() as u16, ..place }
    }

    /// Removes the row in a place.
    pub(super) fn free(&mut self, place: Place) {
        if place.page == NOWHERE {
            return;
        }
        match class(place) {
            Some(class) => self.classes[class].free.push(place),
            None => {
                self.pages[place.page as usize] = Box::default();
                self.free_pages.push(place.page);
            }
        }
    }

    /// Forgets all rows; their memory, to be dropped bit by bit.
    pub(super) fn take_pages(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(self).pages
    }

    /// A place for a row of so many cells.
    fn take(&mut self, cells: usize) -> Place {
        if self.classes.len() <= cells {
            self.classes.resize_with(cells + 1, Class::default);
        }
        if let Some(place) = self.classes[cells].free.pop() {
            return place;
        }
        let mut place = self.classes[cells].fresh;
        if place.page == NOWHERE {
            place = Place { page: self.add_page(vec![0; PAGE].into()), start: 0, len: 0 };
        }
        let next = usize::from(place.start) + cells;
        let fits = (next + cells) * CELL <= PAGE;
        let fresh = if fits { Place { start: next as u16, ..place } } else { Place::default() };
        self.classes[cells].fresh = fresh;
        place
    }

    fn add_page(&mut self, page: Box<[u8]>) -> u32 {
        match self.free_pages.pop() {
            Some(number) => {
                self.pages[number as usize] = page;
                number
            }
            None => {
                self.pages.push(page);
                self.pages.len() as u32 - 1
            }
        }
    }
}

/// The class of the row in a place; `None` if it has a page for itself.
fn class(place: Place) -> Option<usize> {
    (place.len != ALONE).then(|| cells(usize::from(place.len)))
}

/// Cells that a row of so many bytes takes.
fn cells(len: usize) -> usize {
    len.div_ceil(CELL).max(1)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn lengths() -> impl Strategy<Value = usize> {
        prop_oneof![6 => 0..80usize, 1 => SHARED_MAX - 9..SHARED_MAX + 9, 1 => 65_530..65_540usize]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        /// Rows of all lengths come, are replaced and go; what is left is always as it was put.
        #[test]
        fn rows_stay_what_they_are(
            steps in vec((0..600usize, prop_oneof![4 => lengths().prop_map(Some), 1 => Just(None)]),
                         1..3000),
        ) {
            let mut heap = Heap::default();
            let mut rows: Vec<(Place, Option<Vec<u8>>)> = vec![(Place::default(), None); 600];
            for (step, (slot, length)) in steps.into_iter().enumerate() {
                let (place, row) = &mut rows[slot];
                assert_eq!(heap.bytes(*place), row.as_deref());
                *row = length.map(|length| vec![step as u8; length]);
                *place = match row {
                    Some(row) => heap.replace(*place, row),
                    None => {
                        heap.free(*place);
                        Place::default()
                    }
                };
            }
            for (place, row) in &rows {
                assert_eq!(heap.bytes(*place), row.as_deref());
            }
        }
    }

    #[test]
    fn what_goes_makes_room_for_what_comes() {
        let mut heap = Heap::default();
        for length in [20, 2000] {
            let pages = heap.pages.len() + 1;
            for _ in 0..2 * PAGE {
                let place = heap.replace(Place::default(), &vec![7; length]);
                let place = heap.replace(place, &vec![8; length + 1]);
                heap.free(place);
            }
            assert!(heap.pages.len() <= pages + 1, "{} pages", heap.pages.len());
        }
        assert!(heap.take_pages().len() >= 2);
        assert!(heap.pages.is_empty());
    }
}
