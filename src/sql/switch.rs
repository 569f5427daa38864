//! Which views can answer for a name.

use std::collections::BTreeMap;

use super::plan::{Plan, View};
use super::typing::type_name;

/// Why a view cannot answer readers of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotAnswer {
    /// There is no such view, or nobody can ask by this name.
    #[error("there is no view `{name}`; there are: {views}")]
    NoView {
        /// The name.
        name: String,
        /// Those there are.
        views: String,
    },
    /// Readers name documents by keys that it does not have.
    #[error(
        "view `{name}` has the key ({key}), view `{view}` has ({other}): they have to be alike"
    )]
    Keys {
        /// The name.
        name: String,
        /// Its key's columns with their types.
        key: String,
        /// The view.
        view: String,
        /// Its key's columns with their types.
        other: String,
    },
}

/// A plan by which readers of a name would find nothing, or something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "view `{view}` answers readers of `{name}`, and cannot by these files: {why}; bring the file back, \
     or first `viewtide switch {name} {name}`"
)]
pub struct Unanswered {
    /// The name.
    pub name: String,
    /// The view that answers.
    pub view: String,
    /// Why it cannot.
    pub why: CannotAnswer,
}

/// Whether readers of `name`, a view, can be answered with the documents of `view`: their keys have
/// as many columns, of the same types, whatever they are called.
///
/// # Errors
/// Why they cannot.
pub fn can_answer(plan: &Plan, name: &str, view: &str) -> Result<(), CannotAnswer> {
    let find = |name: &str| {
        let found = plan.views.iter().find(|view| view.name == name);
        found.ok_or_else(|| {
            let views: Vec<&str> = plan.views.iter().map(|view| view.name.as_str()).collect();
            CannotAnswer::NoView { name: name.to_owned(), views: views.join(", ") }
        })
    };
    let (own, other) = (find(name)?, find(view)?);
    if own.key_types() == other.key_types() {
        return Ok(());
    }
    Err(CannotAnswer::Keys {
        name: name.to_owned(),
        key: key_text(own),
        view: view.to_owned(),
        other: key_text(other),
    })
}

/// Whether each view that answers for a name (`served`: names and views) can by this plan, too.
///
/// # Errors
/// The first that cannot.
pub fn go_on_answering(
    plan: &Plan,
    served: &BTreeMap<String, String>,
) -> Result<(), Box<Unanswered>> {
    for (name, view) in served {
        can_answer(plan, name, view).map_err(|why| {
            let (name, view) = (name.clone(), view.clone());
            Box::new(Unanswered { name, view, why })
        })?;
    }
    Ok(())
}

fn key_text(view: &View) -> String {
    let outputs = view.key.iter().map(|&at| &view.outputs[at]);
    let texts = outputs.map(|output| format!("{} {}", output.name, type_name(output.expr.ty)));
    texts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Definitions, SourceFile, plan_views};

    #[test]
    fn keys_are_alike_by_number_and_types() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let tables = "CREATE TABLE t (id int NOT NULL, n int, m int, PRIMARY KEY (id));
                      CREATE TABLE b (id bigint NOT NULL, PRIMARY KEY (id));";
        let view = |name: &str, select: &str| {
            file(name, &format!("CREATE VIEW {name} AS SELECT {select};"))
        };
        let plan = plan_views(&Definitions {
            tables: vec![file("t.sql", tables)],
            streams: Vec::new(),
            views: vec![
                view("one", "id, n FROM t"),
                view("renamed", "id AS number FROM t"),
                view("wide", "id FROM b"),
                view("grouped", "n, m, COUNT(*) AS c FROM t GROUP BY n, m"),
            ],
        })
        .unwrap();
        let told = |name, view| can_answer(&plan, name, view).map_err(|why| why.to_string());
        assert_eq!(told("one", "renamed"), Ok(()));
        assert_eq!(told("one", "one"), Ok(()));
        let other = "view `one` has the key (id INT), view `wide` has (id BIGINT): they have to be \
                     alike";
        assert_eq!(told("one", "wide"), Err(other.to_owned()));
        let other = "view `grouped` has the key (n INT, m INT), view `one` has (id INT): they have \
                     to be alike";
        assert_eq!(told("grouped", "one"), Err(other.to_owned()));
        let none = "there is no view `none`; there are: one, renamed, wide, grouped".to_owned();
        assert_eq!(told("one", "none"), Err(none.clone()));
        assert_eq!(told("none", "one"), Err(none));
        let served = |name: &str, view: &str| [(name.to_owned(), view.to_owned())].into();
        assert_eq!(go_on_answering(&plan, &served("one", "renamed")), Ok(()));
        let lost = go_on_answering(&plan, &served("one", "gone")).unwrap_err().to_string();
        assert!(lost.contains("first `viewtide switch one one`"), "{lost}");
    }
}
