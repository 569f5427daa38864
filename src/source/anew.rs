//! Which incremental snapshots read a table anew: what its topic says from the first record on that
//! was written while one of them ran is all that is true of the table.
//!
//! The id of the signal says so, and for which tables. The connector's transformation repeats it
//! as a header of every record that it writes meanwhile (`infra/connect-plugin`), so that it stands
//! in the table's own topic, in its order. Notifications carry it anyway.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::sql::plan::Table;

/// Header of records that were written while such a snapshot ran.
pub const HEADER: &str = "viewtide-anew";

/// What the ids begin with. The transformation knows it, too.
const PREFIX: &str = "viewtide-anew-";

/// The number of one such snapshot: the time at which it was asked for, in milliseconds since 1970,
/// and 64 bits that tell it from others of the same time.
pub type AnewId = u128;

/// A number for a snapshot that is asked for now, whatever the clock says greater than `after`.
pub fn number_after(after: AnewId) -> AnewId {
    let now = now_ms().max((after >> 64) + 1);
    (now << 64) | u128::from(rand::random::<u64>())
}

/// The greatest number of any snapshot that was asked for until now, as far as clocks agree.
pub(super) fn latest_until_now() -> AnewId {
    (now_ms() << 64) | u128::from(u64::MAX)
}

fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// The id of a signal that has these tables read anew.
pub fn signal_id<'t>(number: AnewId, tables: impl IntoIterator<Item = &'t str>) -> String {
    let tables: Vec<String> = tables.into_iter().map(escaped).collect();
    format!("{PREFIX}{number:032x}:{}", tables.join(","))
}

/// The snapshot that a signal's id names, if it reads this table anew.
pub(super) fn number_of(id: &str, table: &str) -> Option<AnewId> {
    let (number, tables) = id.strip_prefix(PREFIX)?.split_once(':')?;
    let table = escaped(table);
    tables.split(',').any(|name| name == table).then_some(())?;
    u128::from_str_radix(number, 16).ok()
}

/// What finds the rows of a table that Debezium reads to show that it has come to an end: one, if
/// there is any. A connector that was started again has no database of its own to look in.
pub fn one_row(database: &str, table: &Table) -> String {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let key: Vec<String> = table.key.iter().map(|at| quoted(&table.columns[*at].name)).collect();
    let (key, database, name) = (key.join(", "), quoted(database), quoted(&table.name));
    format!("({key}) = (SELECT {key} FROM {database}.{name} ORDER BY {key} LIMIT 1)")
}

/// A name without what separates names.
fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace(',', "%2C").replace(':', "%3A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_greater_than_those_before_though_the_clock_goes_back() {
        let until_now = latest_until_now();
        assert!(number_after(0) > until_now >> 64 << 64);
        let ahead = until_now + (3_600_000 << 64);
        assert!(number_after(ahead) > ahead);
    }

    #[test]
    fn an_id_names_its_tables_and_no_others() {
        let id = signal_id(7, ["orders", "a,b:c%"]);
        assert_eq!(id, "viewtide-anew-00000000000000000000000000000007:orders,a%2Cb%3Ac%25");
        for (table, number) in [("orders", Some(7)), ("a,b:c%", Some(7)), ("a", None), ("", None)] {
            assert_eq!(number_of(&id, table), number, "{table}");
        }
        for other in ["viewtide-7", "viewtide-anew-7", "viewtide-anew-x:orders", ""] {
            assert_eq!(number_of(other, "orders"), None, "{other}");
        }
    }
}
