//! What header and trailer say, and whether that fits what a plan needs.

use serde::{Deserialize, Serialize};

use crate::change::{Partition, Position, Positions};
use crate::gtid::Watermarks;
use crate::source::transactions::{Applied, AppliedPartition, Sequencer};
use crate::sql::plan::{self, Plan, TableId, TableSource};
use crate::value::{Row, RowLayout, RowWriter, Type};

/// Whose state it is: with another of these, the same offsets are other records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The pipeline's name.
    pub pipeline: String,
    /// Debezium's `topic.prefix`.
    pub topic_prefix: String,
    /// The captured database.
    pub database: String,
}

/// The beginning of a checkpoint: whose it is, which rows it holds, and S0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    origin: Origin,
    tables: Vec<StoredTable>,
    watermarks: Watermarks,
    partitions: Vec<StoredPartition>,
}

/// The end of a checkpoint: S1, and how many rows each table of the header has in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    positions: Vec<(Partition, Position)>,
    rows: Vec<u64>,
}

/// A table as it is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredTable {
    name: String,
    source: TableSource,
    columns: Vec<StoredColumn>,
    /// Names of the primary key's columns.
    key: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredColumn {
    name: String,
    #[serde(rename = "type")]
    ty: Type,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredPartition {
    partition: Partition,
    /// Place of its table in the header; none of what is of all tables.
    table: Option<usize>,
    applied: AppliedPartition,
}

/// Why a checkpoint that is whole does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Another pipeline wrote it, or this one with other topics.
    #[error("it is of pipeline `{}` on `{}.{}`", .0.pipeline, .0.topic_prefix, .0.database)]
    Origin(Origin),
    /// It lacks a table, or has it from elsewhere.
    #[error("it has no table `{0}` as the views need it")]
    Table(String),
    /// It lacks a column, or has it with another type.
    #[error("its table `{table}` has no column `{column}` as the views need it")]
    Column {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// What it says is not what this version writes.
    #[error("its {0} cannot be read")]
    Content(&'static str),
}

/// What of a checkpoint a plan takes.
#[derive(Debug)]
pub(super) struct Fitted {
    /// By the header's tables: those that the plan has.
    pub(super) tables: Vec<Option<FittedTable>>,
    /// S0 of the partitions that the plan reads.
    pub(super) applied: Applied,
}

/// How rows of one table are read.
#[derive(Debug)]
pub(super) struct FittedTable {
    pub(super) table: TableId,
    stored: RowLayout,
    /// Set if the plan holds other columns: where each of them is stored.
    projection: Option<(Vec<usize>, RowWriter)>,
}

impl Header {
    /// The header of a dump that begins now.
    pub fn new(origin: Origin, plan: &Plan, sequencer: &Sequencer) -> Header {
        let Applied { watermarks, mut partitions } = sequencer.applied();
        let partitions = sequencer.specs().filter_map(|spec| {
            let (partition, applied) = partitions.remove_entry(&spec.partition)?;
            let table = spec.role.table().map(|table| usize::from(table.0));
            Some(StoredPartition { partition, table, applied })
        });
        let partitions = partitions.collect();
        let tables = plan.tables.iter().map(StoredTable::of).collect();
        Header { origin, tables, watermarks, partitions }
    }

    /// What a plan takes of it.
    pub(super) fn fit(self, origin: &Origin, plan: &Plan) -> Result<Fitted, Unfit> {
        if self.origin != *origin {
            return Err(Unfit::Origin(self.origin));
        }
        let mut tables: Vec<Option<FittedTable>> = self.tables.iter().map(|_| None).collect();
        for (id, table) in plan.tables_with_ids() {
            let is_there = |stored: &StoredTable| {
                stored.name == table.name
                    && stored.source == table.source
                    && stored.key.iter().eq(table.key.iter().map(|&at| &table.columns[at].name))
            };
            let missing = || Unfit::Table(table.name.clone());
            let at = self.tables.iter().position(is_there).ok_or_else(missing)?;
            if !self.partitions.iter().any(|partition| partition.table == Some(at)) {
                return Err(missing());
            }
            tables[at] = Some(self.tables[at].fit(id, table)?);
        }
        let is_read = |partition: &StoredPartition| match partition.table {
            Some(at) => tables.get(at).is_some_and(Option::is_some),
            None => true,
        };
        let partitions = self.partitions.into_iter().filter(is_read);
        let partitions = partitions.map(|stored| (stored.partition, stored.applied)).collect();
        Ok(Fitted { tables, applied: Applied { watermarks: self.watermarks, partitions } })
    }
}

impl Trailer {
    /// The trailer of a dump that ended at these positions.
    pub fn new(positions: Positions, rows: Vec<u64>) -> Trailer {
        Trailer { positions: positions.into_iter().collect(), rows }
    }

    /// Rows of each of the header's tables.
    pub(super) fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// S1.
    pub(super) fn into_positions(self) -> Positions {
        self.positions.into_iter().collect()
    }
}

impl StoredTable {
    fn of(table: &plan::Table) -> StoredTable {
        let column =
            |column: &plan::Column| StoredColumn { name: column.name.clone(), ty: column.ty };
        StoredTable {
            name: table.name.clone(),
            source: table.source.clone(),
            columns: table.columns.iter().map(column).collect(),
            key: table.key.iter().map(|&at| table.columns[at].name.clone()).collect(),
        }
    }

    fn fit(&self, id: TableId, table: &plan::Table) -> Result<FittedTable, Unfit> {
        let place = |column: &plan::Column| {
            let is_it = |c: &StoredColumn| c.name == column.name && c.ty == column.ty;
            self.columns.iter().position(is_it).ok_or_else(|| Unfit::Column {
                table: self.name.clone(),
                column: column.name.clone(),
            })
        };
        let places = table.columns.iter().map(place).collect::<Result<Vec<usize>, Unfit>>()?;
        let types: Vec<Type> = self.columns.iter().map(|column| column.ty).collect();
        let is_same = places.iter().copied().eq(0..types.len());
        Ok(FittedTable {
            table: id,
            stored: RowLayout::new(&types),
            projection: (!is_same).then(|| (places, RowWriter::new(&table.layout))),
        })
    }
}

impl FittedTable {
    /// A row as the plan holds it; `None` if the bytes are none.
    pub(super) fn row(&mut self, bytes: &[u8]) -> Option<Row> {
        if !self.stored.is_row(bytes) {
            return None;
        }
        let Some((places, writer)) = &mut self.projection else {
            return Some(Row::from_bytes(bytes.into()));
        };
        let mut values = places.iter().map(|&place| self.stored.value(bytes, place)).enumerate();
        let fits = values.all(|(column, value)| writer.set(column, &value));
        fits.then(|| writer.finish())
    }
}
