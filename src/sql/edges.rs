//! Which equalities of columns an edge is made of.

use super::plan::NodeId;
use super::typing::{is_floating, is_numeric, type_name};
use crate::value::{Collation, Type};

/// One equality between a column of a node and one of another.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// Place of the condition that says so.
    pub(super) condition: usize,
    pub(super) parent: NodeId,
    pub(super) parent_column: usize,
    pub(super) child_column: usize,
    /// Why rows cannot be found by it.
    pub(super) obstacle: Option<String>,
}

/// Why rows cannot be found by the equality of two types: they have to be equal exactly when their
/// bytes are, or text by one collation.
pub(super) fn obstacle(a: Type, b: Type) -> Option<String> {
    match (a, b) {
        (Type::Text(Collation::Foreign), Type::Text(_))
        | (Type::Text(_), Type::Text(Collation::Foreign)) => {
            Some("compares text of another character set than utf8mb4: declare both columns utf8mb4".to_owned())
        }
        (Type::Text(Collation::Other), Type::Text(_))
        | (Type::Text(_), Type::Text(Collation::Other)) => {
            Some("compares text whose collation is not exact here, as utf8mb4_0900_ai_ci, utf8mb4_0900_bin and utf8mb4_bin are: declare both columns with one of these".to_owned())
        }
        (Type::Text(a), Type::Text(b)) if a != b => {
            Some("compares text of two collations: declare both columns with one".to_owned())
        }
        (Type::Float | Type::Double | Type::Json, _)
        | (_, Type::Float | Type::Double | Type::Json) => Some(format!(
            "compares {} with {}: tie it by columns that are exact",
            type_name(a),
            type_name(b)
        )),
        _ if a == b => None,
        (Type::Int { .. }, Type::Int { .. }) => None,
        _ => Some(format!(
            "compares {} with {}: tie it by columns of one type",
            type_name(a),
            type_name(b)
        )),
    }
}

/// Whether a column of a unique key can equal a constant in one row only: it cannot where the
/// comparison is coarser than the key.
pub(super) fn fixes(column: Type, constant: Type) -> bool {
    let exact = |ty| !is_floating(ty) && ty != Type::Json;
    exact(column) && exact(constant) && is_numeric(column) == is_numeric(constant)
}

/// One equality per column of the child's key, in key order, all with one parent.
pub(super) fn covering<'p>(pairs: &'p [Pair], key: &[usize]) -> Option<Vec<&'p Pair>> {
    pairs.iter().map(|pair| pair.parent).find_map(|parent| {
        key.iter()
            .map(|column| {
                pairs.iter().find(|pair| {
                    pair.parent == parent && pair.child_column == *column && pair.obstacle.is_none()
                })
            })
            .collect()
    })
}

/// The equalities with one parent to find the rows of a key by, the other columns of which are set
/// equal to constants or to columns of other nodes. The parent is the one with most of the key's
/// columns; of several the first in key order.
pub(super) fn fixing<'p>(
    pairs: &'p [Pair],
    constant: &[usize],
    key: &[usize],
) -> Option<Vec<&'p Pair>> {
    let usable = |pair: &&Pair| key.contains(&pair.child_column) && pair.obstacle.is_none();
    let fixed = |column: &usize| {
        constant.contains(column)
            || pairs.iter().filter(usable).any(|pair| pair.child_column == *column)
    };
    if !key.iter().all(fixed) {
        return None;
    }
    let of = |parent: NodeId| {
        key.iter().filter_map(move |column| {
            let usable = pairs.iter().filter(usable);
            usable.into_iter().find(|p| p.parent == parent && p.child_column == *column)
        })
    };
    let in_key_order = key.iter().flat_map(|column| {
        pairs.iter().filter(usable).filter(move |pair| pair.child_column == *column)
    });
    let parents = in_key_order.map(|pair| pair.parent).rev();
    parents.max_by_key(|&parent| of(parent).count()).map(|parent| of(parent).collect())
}

/// The equalities to hang a node on its parent by, all of one parent: those with the child's key if they
/// hold it, else those with the parent's key, else all; each column once.
pub(super) fn tying<'p>(
    pairs: &'p [Pair],
    parent_key: &[usize],
    child_key: &[usize],
) -> Vec<&'p Pair> {
    if let Some(by_key) = covering(pairs, child_key) {
        return by_key;
    }
    let by_parent: Option<Vec<&Pair>> = parent_key
        .iter()
        .map(|column| pairs.iter().find(|pair| pair.parent_column == *column))
        .collect();
    let distinct = |chosen: &[&Pair]| {
        chosen.iter().enumerate().all(|(i, pair)| {
            chosen[..i].iter().all(|other| other.child_column != pair.child_column)
        })
    };
    if let Some(by_parent) = by_parent.filter(|chosen| distinct(chosen)) {
        return by_parent;
    }
    let mut chosen: Vec<&Pair> = Vec::new();
    for pair in pairs {
        let taken = chosen.iter().any(|other| {
            other.child_column == pair.child_column || other.parent_column == pair.parent_column
        });
        if !taken {
            chosen.push(pair);
        }
    }
    chosen.sort_by_key(|pair| pair.child_column);
    chosen
}
