//! A view's plan as people read it: how its rows are found, and what a change costs.

use std::fmt::Write as _;

use super::plan::{
    Access, Aggregate, BitOp, Edge, Grouping, JoinKind, Node, NodeId, Plan, Scope, View,
};

/// A view's plan as text: its tree of table references, each with how its rows are found from those
/// above it, then which documents a change of each concerns and how they are found.
pub fn explain(plan: &Plan, view: &View) -> String {
    let explained = Explained { plan, view, roles: roles(view) };
    let mut out = String::new();
    explained.head(&mut out);
    explained.tree(&mut out);
    explained.changes(&mut out);
    out
}

struct Explained<'p> {
    plan: &'p Plan,
    view: &'p View,
    /// By node: what its rows are for.
    roles: Vec<String>,
}

impl Explained<'_> {
    fn head(&self, out: &mut String) {
        let root = self.view.node(NodeId(0));
        let outputs = |places: &[usize]| {
            let names = places.iter().map(|&place| self.view.outputs[place].name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        let is_filtered = self.view.scope.filter.is_some();
        let (what, taken) = match self.plan.grouping(root.table) {
            None => ("row", if is_filtered { " that its WHERE takes" } else { "" }),
            Some(_) => ("group", if is_filtered { " that WHERE and HAVING leave" } else { "" }),
        };
        let _ = writeln!(
            out,
            "{}: a document for each {what} of {}{taken}, keyed by ({})",
            self.view.name,
            self.plan.table(root.table).name,
            outputs(&self.view.key)
        );
        for index in &self.view.indexes {
            let _ = writeln!(out, "looked up by ({})", outputs(&index.columns));
        }
    }

    fn tree(&self, out: &mut String) {
        let mut lines = Vec::new();
        self.branch(NodeId(0), "", "", &mut lines);
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        out.push_str("\na document is put together from\n");
        for (name, found) in lines {
            let _ = writeln!(out, "  {name:width$}  {found}");
        }
    }

    /// The lines of a node and of those that hang on it: name, and how its rows are found.
    fn branch(&self, id: NodeId, first: &str, rest: &str, lines: &mut Vec<(String, String)>) {
        let node = self.view.node(id);
        lines.push((format!("{first}{}", self.called(node)), self.found(id)));
        let children: Vec<NodeId> = (0..self.view.nodes.len())
            .map(|at| NodeId(at as u16))
            .filter(|child| self.view.node(*child).edge.as_ref().is_some_and(|e| e.parent == id))
            .collect();
        for (at, child) in children.iter().enumerate() {
            let (corner, line) =
                if at + 1 == children.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.branch(*child, &format!("{rest}{corner}"), &format!("{rest}{line}"), lines);
        }
    }

    /// How the rows of a node are found.
    fn found(&self, id: NodeId) -> String {
        let node = self.view.node(id);
        let role = &self.roles[usize::from(id.0)];
        let Some(edge) = &node.edge else {
            return match self.plan.grouping(node.table) {
                None => "its own row".to_owned(),
                Some(Grouping { table, .. }) => {
                    let columns = table.key.iter().map(|&at| table.columns[at].name.as_str());
                    format!("its group by {}", columns.collect::<Vec<_>>().join(", "))
                }
            };
        };
        let by = match edge.down {
            Access::Primary => "by primary key",
            Access::Index(_) => "by index",
        };
        let parent = self.view.node(edge.parent);
        let condition = |(child, of): (&usize, &usize)| {
            let (name, alias) = (self.column(node, *child), &parent.alias);
            match self.plan.computed(node.table, *child) {
                None => format!("{name} = {alias}.{}", self.column(parent, *of)),
                Some(_) => format!("{name} = that of {alias}"),
            }
        };
        let conditions = edge.child_columns.iter().zip(&edge.parent_columns).map(condition);
        format!("{role} {by} {}", conditions.collect::<Vec<_>>().join(" AND "))
    }

    fn changes(&self, out: &mut String) {
        // Groups come and go with the rows they are of.
        let nodes = self.view.nodes.iter().enumerate();
        let lines: Vec<[String; 3]> = nodes
            .filter(|(_, node)| self.plan.grouping(node.table).is_none())
            .map(|(at, node)| {
                let read = self.plan.table(node.table).held(&node.reads);
                let read = read.iter().map(|&column| self.column(node, column));
                let read: Vec<&str> = read.collect();
                [self.called(node), self.touched(NodeId(at as u16)), read.join(", ")]
            })
            .collect();
        let width = |place: usize| {
            lines.iter().map(|line| line[place].chars().count()).max().unwrap_or_default()
        };
        let (names, documents) = (width(0), width(1));
        out.push_str("\nan INSERT, a DELETE, or an UPDATE of the columns named concerns\n");
        for [name, touched, read] in &lines {
            let _ = writeln!(out, "  {name:names$}  {touched:documents$}  {read}");
        }
    }

    /// The documents that a change of one of a node's rows concerns: one, or all that the indexes on
    /// the way up to the root lead to.
    fn touched(&self, mut id: NodeId) -> String {
        let mut hops = Vec::new();
        while let Some(edge) = &self.view.node(id).edge {
            hops.extend(self.hop(edge));
            id = edge.parent;
        }
        match hops.as_slice() {
            [] => "1 document".to_owned(),
            hops => format!("all by {}", hops.join(", ")),
        }
    }

    /// The index that an edge goes up by, which may lead to many rows; `None` for a primary key.
    fn hop(&self, edge: &Edge) -> Option<String> {
        let parent = self.view.node(edge.parent);
        let Access::Index(_) = edge.up else { return None };
        let columns = edge.parent_columns.iter().map(|&column| self.column(parent, column));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let table = &self.plan.table(parent.table).name;
        Some(format!("{table}({columns})"))
    }

    fn called(&self, node: &Node) -> String {
        let table = &self.plan.table(node.table).name;
        if node.alias == *table { table.clone() } else { format!("{table} AS {}", node.alias) }
    }

    fn column(&self, node: &Node, column: usize) -> &str {
        &self.plan.table(node.table).column(column).name
    }
}

/// By node: what its rows are for.
fn roles(view: &View) -> Vec<String> {
    let mut roles = vec![String::new(); view.nodes.len()];
    of_scope(&view.scope, "one row", &mut roles);
    for collection in &view.collections {
        let made: Vec<&str> = collection.aggregates.iter().map(made).collect();
        of_scope(&collection.scope, &format!("{} of the rows", made.join(", ")), &mut roles);
    }
    roles
}

fn of_scope(scope: &Scope, from: &str, roles: &mut [String]) {
    let filtered = if scope.filter.is_some() { " that WHERE takes," } else { "" };
    roles[usize::from(scope.from.0)] = format!("{from}{filtered}");
    for join in &scope.joins {
        let kind = if join.required { "JOIN" } else { "LEFT JOIN" };
        match &join.kind {
            JoinKind::Lookup { node, .. } => {
                roles[usize::from(node.0)] = format!("{kind}: one row");
            }
            JoinKind::Pick { scope, .. } => {
                of_scope(scope, &format!("{kind}: the first of the rows"), roles);
            }
            JoinKind::Each { scope } => {
                of_scope(scope, &format!("{kind}: each of the rows"), roles);
            }
        }
    }
}

/// What an aggregate is called.
fn made(aggregate: &Aggregate) -> &'static str {
    match aggregate {
        Aggregate::Exists => "EXISTS",
        Aggregate::CountRows | Aggregate::Count(_) => "COUNT",
        Aggregate::CountDistinct(_) => "COUNT(DISTINCT)",
        Aggregate::Sum(_) => "SUM",
        Aggregate::SumDistinct(_) => "SUM(DISTINCT)",
        Aggregate::Avg(_) => "AVG",
        Aggregate::AvgDistinct(_) => "AVG(DISTINCT)",
        Aggregate::Bits(BitOp::And, _) => "BIT_AND",
        Aggregate::Bits(BitOp::Or, _) => "BIT_OR",
        Aggregate::Bits(BitOp::Xor, _) => "BIT_XOR",
        Aggregate::Min(_) => "MIN",
        Aggregate::Max(_) => "MAX",
        Aggregate::GroupConcat { .. } => "GROUP_CONCAT",
        Aggregate::ConcatDistinct { .. } => "GROUP_CONCAT(DISTINCT)",
        Aggregate::JsonArray(_) => "JSON_ARRAYAGG",
        Aggregate::JsonObject { .. } => "JSON_OBJECTAGG",
        Aggregate::First { .. } => "the first",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Definitions, SourceFile, plan_views};
    use super::*;

    const TABLES: &str = "
CREATE TABLE orders (id INT PRIMARY KEY, customer INT, total DECIMAL(10,2), note TEXT);
CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(9), region INT);
CREATE TABLE regions (id INT PRIMARY KEY, name VARCHAR(9));
CREATE TABLE items (id INT PRIMARY KEY, `order` INT, price DECIMAL(10,2));
CREATE TABLE moves (id INT PRIMARY KEY, customer INT, at DATETIME);
";
    const VIEW: &str = "
CREATE VIEW v AS SELECT o.id, o.total, c.name, r.name AS region, m.at,
  (SELECT SUM(i.price) FROM items AS i WHERE i.`order` = o.id AND i.price > 0) AS sum
FROM orders AS o JOIN customers AS c ON c.id = o.customer
LEFT JOIN LATERAL (SELECT at FROM moves WHERE customer = c.id ORDER BY at, id LIMIT 1) AS m ON TRUE
LEFT JOIN regions AS r ON r.id = c.region WHERE o.total > 1;
CREATE INDEX total ON v (total);
";

    #[test]
    fn the_tree_and_what_changes_cost() {
        let file = |text: &str| vec![SourceFile { path: "x.sql".into(), text: text.into() }];
        let explained = |views: &str| {
            let (tables, views) = (file(TABLES), file(views));
            let plan = plan_views(&Definitions { tables, streams: Vec::new(), views }).unwrap();
            explain(&plan, &plan.views[0])
        };
        assert_eq!(
            explained(
                "CREATE VIEW g AS SELECT o.customer, COUNT(*) AS n, MAX(i.price) AS dearest
                 FROM orders AS o JOIN items AS i ON i.`order` = o.id GROUP BY o.customer;"
            ),
            "\
g: a document for each group of orders that WHERE and HAVING leave, keyed by (customer)

a document is put together from
  orders AS o       its group by customer
  └─ orders AS o    COUNT, MAX of the rows by index customer = o.customer
     └─ items AS i  JOIN: each of the rows by index order = o.id

an INSERT, a DELETE, or an UPDATE of the columns named concerns
  orders AS o  1 document  id, customer
  items AS i   1 document  order, price
"
        );
        let (tables, views) = (file(TABLES), file(VIEW));
        let plan = plan_views(&Definitions { tables, streams: Vec::new(), views }).unwrap();
        assert_eq!(
            explain(&plan, &plan.views[0]),
            "\
v: a document for each row of orders that its WHERE takes, keyed by (id)
looked up by (total)

a document is put together from
  orders AS o         its own row
  ├─ customers AS c   JOIN: one row by primary key id = o.customer
  │  ├─ moves         LEFT JOIN: the first of the rows by index customer = c.id
  │  └─ regions AS r  LEFT JOIN: one row by primary key id = c.region
  └─ items AS i       SUM of the rows that WHERE takes, by index order = o.id

an INSERT, a DELETE, or an UPDATE of the columns named concerns
  orders AS o     1 document                                  id, customer, total
  customers AS c  all by orders(customer)                     id, name, region
  moves           all by orders(customer)                     id, customer, at
  regions AS r    all by customers(region), orders(customer)  id, name
  items AS i      1 document                                  order, price
"
        );
    }
}
