//! Random schemas, random changes, every way of cutting batches.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use viewtide::sql::plan::TableId;

use super::driver::{Driver, Step};
use super::shape::{KeyKind, Shape, TABLES, chain, lists, plan, row, shapes, siblings};

/// A change before the schema is known.
#[derive(Clone, Debug)]
struct Act {
    table: usize,
    key: u8,
    numbers: [u8; 6],
    what: What,
    /// Whether the batch ends here, and how much backlog is worked off then.
    cut: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Upsert,
    Delete,
    ChangeKey(u8),
    Again,
    Truncate,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let what = prop_oneof![
        12 => Just(What::Upsert),
        4 => Just(What::Delete),
        2 => (0..6u8).prop_map(What::ChangeKey),
        1 => Just(What::Again),
        1 => Just(What::Truncate),
    ];
    let cut = prop_oneof![Just(None), (0..4usize).prop_map(Some)];
    let act = (0..TABLES, 0..6u8, prop::array::uniform6(0..5u8), what, cut);
    vec(
        act.prop_map(|(table, key, numbers, what, cut)| Act { table, key, numbers, what, cut }),
        1..60,
    )
}

fn steps(shape: &Shape, acts: &[Act], spread: i64) -> Vec<(Vec<Step>, Option<usize>)> {
    let mut last = Vec::new();
    let step = |act: &Act| {
        let table = TableId(act.table as u16);
        let kind = shape.keys[act.table];
        let upsert = |key| Step::Upsert(table, row(kind, key, act.numbers, spread));
        let delete = Step::Delete(table, row(kind, act.key, act.numbers, spread));
        last = match act.what {
            What::Upsert => vec![upsert(act.key)],
            What::Delete => vec![delete],
            What::ChangeKey(to) => vec![delete, upsert(to)],
            What::Again => last.clone(),
            What::Truncate => vec![Step::Truncate(table)],
        };
        (last.clone(), act.cut)
    };
    acts.iter().map(step).collect()
}

fn spreads() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1), Just(1_000_003), Just(1 << 60)]
}

/// Rows of which lists are long.
fn longs() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(3), Just(64)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Views live from some point on, batches cut anywhere, the backlog worked off in between.
    #[test]
    fn incremental_equals_recomputed(
        shape in shapes(),
        acts in acts(),
        spread in spreads(),
        fan_out_max in 1..4usize,
        long in longs(),
        live_from in 0..20usize,
        lost_at in 0..200usize,
    ) {
        let mut driver = Driver::new(Arc::new(plan(&shape)), fan_out_max, long);
        let mut batch = Vec::new();
        for (i, (steps, cut)) in steps(&shape, &acts, spread).into_iter().enumerate() {
            if i == live_from {
                driver.go_live();
            }
            if i == lost_at {
                driver.lose_everything();
            }
            batch.extend(steps);
            if let Some(chunks) = cut {
                driver.apply(&batch);
                batch.clear();
                (0..chunks).for_each(|_| _ = driver.work_off());
            }
        }
        driver.apply(&batch);
        if acts.len() <= live_from {
            driver.go_live();
        }
        driver.settle();
        driver.repeat_everything();
    }

    /// Rows come, go and move to other parents while the fan-outs of those are worked off.
    #[test]
    fn fanouts_survive_changes(
        acts in vec((0..10usize, 0..24u8, 0..2u8, 0..4u8, 0..3usize), 20..200),
        live_from in 0..20usize,
    ) {
        let mut driver = Driver::new(Arc::new(plan(&chain())), 3, 64);
        for (i, (what, key, parent, w, chunks)) in acts.into_iter().enumerate() {
            if i == live_from {
                driver.go_live();
            }
            // A reference of n is to the key n - 1: of its two parents, or of none.
            let row_of = |key| row(KeyKind::Signed, key, [parent + 1, 0, 0, 0, 0, w], 1);
            let step = match what {
                0..3 => Step::Upsert(TableId(0), row_of(key)),
                3 => Step::Delete(TableId(0), row_of(key)),
                4..7 => Step::Upsert(TableId(1), row_of(key)),
                7 => Step::Delete(TableId(1), row_of(key)),
                _ => Step::Upsert(TableId(2), row_of(key % 2)),
            };
            driver.apply(&[step]);
            (0..chunks).for_each(|_| _ = driver.work_off());
        }
        driver.settle();
    }

    /// The first of many rows goes, changes and moves while all of them are walked through.
    #[test]
    fn picks_follow_their_lists(
        acts in vec((0..8usize, 0..12u8, 0..4u8, 0..5u8, 0..3usize), 20..150),
        long in longs(),
    ) {
        let mut driver = Driver::new(Arc::new(plan(&siblings())), 3, long);
        driver.go_live();
        for (what, key, parent, n, chunks) in acts {
            let child = row(KeyKind::Signed, key, [parent.div_ceil(2) + 1, 0, 0, n, 0, n], 1);
            let parent = row(KeyKind::Signed, parent % 2 + 1, [0, 0, 0, 0, 0, n], 1);
            let step = match what {
                0..4 => Step::Upsert(TableId(1), child),
                4 | 5 => Step::Delete(TableId(1), child),
                _ => Step::Upsert(TableId(0), parent),
            };
            driver.apply(&[step]);
            (0..chunks).for_each(|_| _ = driver.work_off());
        }
        driver.settle();
    }

    /// Rows go over to other plans, with all of their columns and with some, and follow changes there.
    #[test]
    fn rows_go_over_to_other_plans(
        before in shapes(),
        after in shapes(),
        acts in vec(acts(), 3..4),
        kept in vec((Just([0, 1, 2, 3, 4, 5, 6, 7]).prop_shuffle(), vec(any::<bool>(), 8)), TABLES),
        some in any::<bool>(),
        long in 1..4usize,
    ) {
        // Rows are those of before by their keys alone.
        let after = after.with_keys(&before.keys);
        let kept: Vec<Vec<usize>> = kept
            .into_iter()
            .zip(&before.keys)
            .map(|((order, kept), kind)| {
                let is_kept = |at: &usize| kept[*at] || kind.columns().contains(at);
                order.into_iter().filter(is_kept).collect()
            })
            .collect();
        let mut driver = Driver::new(Arc::new(plan(&before)), 3, long);
        for (round, acts) in acts.iter().enumerate() {
            match round {
                0 => {}
                1 => driver.replan(Arc::new(plan(&after)), some.then_some(&kept)),
                _ => driver.replan(Arc::new(plan(&before)), None),
            }
            driver.go_live();
            driver.settle();
            for (steps, cut) in steps(&before, acts, 1) {
                driver.apply(&steps);
                (0..cut.unwrap_or(0)).for_each(|_| _ = driver.work_off());
            }
            driver.settle();
            driver.repeat_everything();
        }
    }

    /// After every single change the documents are right.
    #[test]
    fn every_change_settles(
        shape in shapes(),
        acts in acts(),
        spread in spreads(),
        fan_out_max in prop_oneof![Just(2usize), Just(1000)],
        long in longs(),
    ) {
        let mut driver = Driver::new(Arc::new(plan(&shape)), fan_out_max, long);
        driver.go_live();
        for (steps, _) in steps(&shape, &acts, spread) {
            driver.apply(&steps);
            driver.settle();
        }
    }

    /// The order between tables does not matter: each table's changes in their order, the tables
    /// one after another in any order, end in the same documents.
    #[test]
    fn tables_may_arrive_in_any_order(
        shape in shapes(),
        acts in acts(),
        order in Just([0, 1, 2, 3]).prop_shuffle(),
        size in 1..9usize,
        long in longs(),
    ) {
        let mut driver = Driver::new(Arc::new(plan(&shape)), 3, long);
        driver.go_live();
        let steps: Vec<Step> =
            steps(&shape, &acts, 1).into_iter().flat_map(|(steps, _)| steps).collect();
        let table_of = |step: &Step| match step {
            Step::Upsert(table, _) | Step::Delete(table, _) | Step::Truncate(table) => table.0,
        };
        let of_table = |table: u16| steps.iter().filter(move |step| table_of(step) == table);
        let ordered: Vec<Step> = order.into_iter().flat_map(of_table).cloned().collect();
        ordered.chunks(size).for_each(|batch| driver.apply(batch));
        driver.settle();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Rows of lists of many blocks come, go, change and move to another list, also many at once.
    #[test]
    fn long_lists_come_to_what_their_rows_do(
        acts in vec((0..10usize, any::<u8>(), 1..3u8, prop::array::uniform3(0..5u8)), 1..120),
        letters in any::<bool>(),
        long in prop_oneof![Just(1), Just(3), Just(64)],
    ) {
        let mut driver = Driver::new(Arc::new(plan(&lists(letters))), 1000, long);
        // A reference of n is to the key n - 1.
        let child = |key, parent: u8, [v, d, w]: [u8; 3]| {
            Step::Upsert(TableId(1), row(KeyKind::Signed, key, [parent + 1, 0, 0, v, d, w], 1))
        };
        let parents = [1, 2].map(|key| {
            Step::Upsert(TableId(0), row(KeyKind::Signed, key + 1, [0; 6], 1))
        });
        driver.apply(&parents);
        // Neighbours in a block are none by their keys.
        let keys = (0..=250).map(|number| (number * 97 % 251) as u8);
        let all: Vec<Step> = keys.map(|key| child(key, 1, [key % 5, key % 4, 1])).collect();
        driver.apply(&all);
        driver.go_live();
        driver.settle();
        for (what, key, parent, values) in acts {
            let many = (key..key.saturating_add(60)).map(|key| match what {
                8 => child(key, parent, values),
                _ => Step::Delete(TableId(1), row(KeyKind::Signed, key, [0; 6], 1)),
            });
            match what {
                0..6 => driver.apply(&[child(key, parent, values)]),
                6 | 7 => {
                    driver.apply(&[Step::Delete(TableId(1), row(KeyKind::Signed, key, [0; 6], 1))]);
                }
                _ => driver.apply(&many.collect::<Vec<_>>()),
            }
            driver.settle();
        }
    }
}
