//! The views as the API serves them: what a path, a query and a cursor may say of each.

use hashbrown::HashMap;

use crate::keyspace::{Generation, INDEXES_MAX, ViewFields, meta};
use crate::sql::expr::ExprKind;
use crate::sql::plan::{NodeId, Plan, View};
use crate::value::Type;

/// First segments of paths that are the API's own.
const RESERVED: [&str; 5] = ["favicon.ico", "healthz", "metrics", "openapi.json", "readyz"];

/// Why a view cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Its path is taken.
    #[error("view `{view}` cannot be served: /{view} is the api's own path; name it otherwise")]
    Reserved {
        /// Name of the view.
        view: String,
    },
    /// More indexes than an index member can tell apart.
    #[error("view `{view}` has {count} indexes; at most {INDEXES_MAX} are allowed")]
    Indexes {
        /// Name of the view.
        view: String,
        /// How many it has.
        count: usize,
    },
}

/// All views, by name.
#[derive(Debug)]
pub(super) struct Views {
    by_name: HashMap<String, Served>,
    /// In the order of the plan.
    names: Vec<String>,
}

/// One view.
#[derive(Clone, Debug)]
pub(super) struct Served {
    pub(super) name: String,
    /// Place in the order of the plan.
    pub(super) place: usize,
    /// Fields of `meta`.
    pub(super) fields: ViewFields,
    /// The field that names the view which answers for this one's name, if it is another.
    pub(super) served: String,
    pub(super) fingerprint: String,
    pub(super) key_form: String,
    pub(super) index_form: String,
    /// Names and types of the key's columns.
    pub(super) key: Vec<Column>,
    pub(super) key_types: Vec<Type>,
    pub(super) indexes: Vec<Index>,
    /// Lists stand in an object under the view's name. So they do for a view that shows one table
    /// as it is, under the table's name; a view with a shape of its own is a bare array.
    pub(super) is_mirror: bool,
}

/// An index, by its place in the view.
#[derive(Clone, Debug)]
pub(super) struct Index {
    pub(super) number: u8,
    pub(super) columns: Vec<Column>,
}

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) ty: Type,
}

impl Views {
    pub(super) fn new(plan: &Plan) -> Result<Views, ApiError> {
        let mut views = Views { by_name: HashMap::new(), names: Vec::new() };
        for (place, view) in plan.views.iter().enumerate() {
            if is_reserved(&view.name) {
                return Err(ApiError::Reserved { view: view.name.clone() });
            }
            views.names.push(view.name.clone());
            views.by_name.insert(view.name.clone(), Served::new(plan, place, view)?);
        }
        Ok(views)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Served> {
        self.by_name.get(name)
    }

    /// How the view that answers for a name is read. If no file here defines it, as the name's own
    /// view is: what both mean alike, forms of keys and indexes tell.
    pub(super) fn answering<'v>(&'v self, asked: &'v Served, view: &str) -> &'v Served {
        self.get(view).unwrap_or(asked)
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Served> {
        self.names.iter().filter_map(|name| self.by_name.get(name))
    }
}

impl Served {
    fn new(plan: &Plan, place: usize, view: &View) -> Result<Served, ApiError> {
        let column = |&at: &usize| {
            let output = &view.outputs[at];
            Column { name: output.name.clone(), ty: output.expr.ty }
        };
        let mut indexes = Vec::new();
        for (number, index) in view.indexes.iter().enumerate() {
            if number == INDEXES_MAX {
                let count = view.indexes.len();
                return Err(ApiError::Indexes { view: view.name.clone(), count });
            }
            let columns = index.columns.iter().map(column).collect();
            indexes.push(Index { number: number as u8, columns });
        }
        Ok(Served {
            name: view.name.clone(),
            place,
            fields: ViewFields::new(&view.name),
            served: format!("{}{}", meta::SERVED, view.name),
            fingerprint: view.fingerprint.clone(),
            key_form: view.key_form(),
            index_form: view.index_form(),
            key: view.key.iter().map(column).collect(),
            key_types: view.key_types(),
            indexes,
            is_mirror: is_mirror(plan, view),
        })
    }

    /// Whether documents of a generation of this view stand under keys as readers of a name have them.
    pub(super) fn has_keys(&self, asked: &Served, generation: &Generation) -> bool {
        generation.key_form == self.key_form && self.key_types == asked.key_types
    }

    /// The columns that look-ups can name, as people read them.
    pub(super) fn indexes_shown(&self) -> String {
        if self.indexes.is_empty() {
            return "none".to_owned();
        }
        let columns = |index: &Index| {
            index.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join("&")
        };
        self.indexes.iter().map(columns).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a first segment is the API's own.
pub(super) fn is_reserved(segment: &str) -> bool {
    RESERVED.contains(&segment) || segment.is_empty()
}

/// `SELECT` of columns `FROM` the one table of the view's own name, each under its own name.
fn is_mirror(plan: &Plan, view: &View) -> bool {
    let [root] = view.nodes.as_slice() else { return false };
    let table = plan.table(root.table);
    let is_column = |output: &crate::sql::plan::Output| match output.expr.kind {
        ExprKind::Column { node: NodeId(0), column } => table.columns[column].name == output.name,
        _ => false,
    };
    table.name == view.name && view.scope.filter.is_none() && view.outputs.iter().all(is_column)
}
