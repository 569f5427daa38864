//! The groups of a table: a row of their own begins with the first row that has its values, and ends
//! with the last.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Engine;
use super::directory::NONE;
use super::probe::{Probe, Told};
use super::reach::ColumnSet;
use crate::sql::plan::{Access, Plan, TableId};
use crate::value::RowWriter;

/// How the groups of a table follow from its rows.
#[derive(Debug)]
pub(super) struct Grouped {
    /// The groups.
    pub(super) groups: TableId,
    /// The rows of a group.
    index: usize,
    /// The columns of the table by which rows are grouped, in the order of the groups' key.
    by: Vec<usize>,
    /// The same as a set.
    pub(super) columns: ColumnSet,
    /// By column of the groups: its place in the table.
    places: Vec<usize>,
}

/// Groups that a row is about to leave: each by its place among those of the table, and its slot.
pub(super) type Left = SmallVec<[(usize, u32); 2]>;

/// By table: its groups.
pub(super) fn groupings(plan: &Plan) -> Vec<Vec<Grouped>> {
    let of = |(id, _)| {
        let of_table = plan.every_table().filter_map(|(groups, _)| {
            let grouping = plan.grouping(groups).filter(|grouping| grouping.of == id)?;
            let by = plan.table(id).indexes[grouping.index].columns.clone();
            Some(Grouped {
                groups,
                index: grouping.index,
                columns: by.iter().copied().collect(),
                by,
                places: grouping.columns.clone(),
            })
        });
        of_table.collect()
    };
    plan.every_table().map(of).collect()
}

impl Engine {
    /// Adds the groups of all rows.
    pub(super) fn gather_groups(&mut self) {
        let plan = Arc::clone(&self.plan);
        for (id, _) in plan.tables_with_ids() {
            if !self.groupings[usize::from(id.0)].is_empty() {
                let slots = self.tables[usize::from(id.0)].slots();
                (0..slots).for_each(|slot| self.begin_groups(id, slot));
            }
        }
    }

    /// Adds the groups of a row, in place, that have no other.
    pub(super) fn begin_groups(&mut self, id: TableId, slot: u32) {
        for place in 0..self.groupings[usize::from(id.0)].len() {
            let grouped = &self.groupings[usize::from(id.0)][place];
            let (table, groups) = (&self.tables[usize::from(id.0)], grouped.groups);
            let Some(row) = table.row(slot) else { return };
            let layout = &table.rows.layout;
            let probe = Probe::of_row(layout, row, &grouped.by, Told::AsGroups);
            if self.tables[usize::from(groups.0)].first(Access::Primary, &probe) != NONE {
                continue;
            }
            let mut group = RowWriter::new(&self.plan.table(groups).layout);
            for (column, &place) in grouped.places.iter().enumerate() {
                group.set(column, &layout.value(row, place));
            }
            if let Some(slot) = self.tables[usize::from(groups.0)].insert(group.finish()) {
                self.touch(groups, slot, |_| true);
            }
        }
    }

    /// The groups of a row, in place, that `concerned` chooses.
    pub(super) fn groups_left(
        &self,
        id: TableId,
        slot: u32,
        concerned: impl Fn(&Grouped) -> bool,
    ) -> Left {
        let table = &self.tables[usize::from(id.0)];
        let groups = self.groupings[usize::from(id.0)].iter().enumerate();
        let of_row =
            groups.filter(|(_, grouped)| concerned(grouped)).filter_map(|(at, grouped)| {
                let row = table.row(slot)?;
                let probe = Probe::of_row(&table.rows.layout, row, &grouped.by, Told::AsGroups);
                Some((
                    at,
                    self.tables[usize::from(grouped.groups.0)].first(Access::Primary, &probe),
                ))
            });
        of_row.collect()
    }

    /// Removes those of the groups that no row has any more.
    pub(super) fn end_groups(&mut self, id: TableId, left: Left) {
        for (place, slot) in left {
            let &Grouped { groups, index, .. } = &self.groupings[usize::from(id.0)][place];
            let table = &self.tables[usize::from(groups.0)];
            let Some(row) = table.row(slot) else { continue };
            let key = &self.plan.table(groups).key;
            let probe = Probe::of_row(&table.rows.layout, row, key, Told::AsGroups);
            if self.tables[usize::from(id.0)].first(Access::Index(index), &probe) == NONE {
                self.remove(groups, slot);
            }
        }
    }
}
