//! The plan that a shape stands for.

use viewtide::sql::expr::{Expr, ExprKind};
use viewtide::sql::plan::*;
use viewtide::value::{RowLayout, Type};

use super::*;

/// The plan that a shape stands for.
pub(in crate::engine) fn plan(shape: &Shape) -> Plan {
    let table = |(i, key)| table(i, key, shape.letters);
    let mut tables: Vec<Table> = shape.keys.iter().enumerate().map(table).collect();
    let mut groupings = Vec::new();
    let views = shape.views.iter().enumerate().map(|(i, view)| {
        let mut builder = Builder::new(&shape.keys, &mut tables, &mut groupings);
        builder.view(format!("view{i}"), view)
    });
    let views = views.collect();
    Plan { tables, groupings, views }
}

fn table(i: usize, key: &KeyKind, letters: bool) -> Table {
    let columns: Vec<Column> = COLUMNS
        .iter()
        .enumerate()
        .map(|(column, (name, ty))| {
            let unsigned = column == 0 && matches!(key, KeyKind::Unsigned);
            let ty = match *ty {
                _ if unsigned => UNSIGNED,
                TEXT if letters => LETTERS,
                ty => ty,
            };
            Column { name: (*name).to_owned(), ty, nullable: !key.columns().contains(&column) }
        })
        .collect();
    let types: Vec<Type> = columns.iter().map(|column| column.ty).collect();
    Table {
        name: format!("table{i}"),
        source: TableSource::Captured,
        layout: RowLayout::new(&types),
        columns,
        key: key.columns(),
        indexes: Vec::new(),
        computed: Vec::new(),
    }
}

struct Builder<'a> {
    keys: &'a [KeyKind],
    tables: &'a mut [Table],
    groupings: &'a mut Vec<Grouping>,
    nodes: Vec<Node>,
    collections: Vec<Collection>,
}

impl<'a> Builder<'a> {
    fn new(
        keys: &'a [KeyKind],
        tables: &'a mut [Table],
        groupings: &'a mut Vec<Grouping>,
    ) -> Builder<'a> {
        Builder { keys, tables, groupings, nodes: Vec::new(), collections: Vec::new() }
    }

    fn view(&mut self, name: String, shape: &ViewShape) -> View {
        let mut outputs;
        let key;
        let scope;
        if let Some(columns) = shape.grouped {
            (scope, outputs) = self.groups(shape, columns);
            key = (0..outputs.len() - 3).collect();
        } else {
            let root = self.node(shape.root, None);
            let key_columns = self.keys[shape.root].columns();
            outputs = key_columns.iter().map(|&c| self.column(root, c)).collect();
            key = (0..outputs.len()).collect();
            outputs.push(self.column(root, W));
            let values;
            (scope, values) = self.scope(root, &shape.branches, shape.filtered, false);
            outputs.extend(values);
        }
        let outputs: Vec<Output> = outputs
            .into_iter()
            .enumerate()
            .map(|(i, expr)| Output { name: format!("c{i}"), expr })
            .collect();
        let indexes =
            vec![ViewIndex { name: "by_last".to_owned(), columns: vec![outputs.len() - 1] }];
        View {
            name,
            select: String::new(),
            nodes: std::mem::take(&mut self.nodes),
            scope,
            collections: std::mem::take(&mut self.collections),
            outputs,
            conditions: 0,
            key,
            indexes,
            fingerprint: String::new(),
        }
    }

    /// The groups of a table, which count while their rows do, and what they show: their key, how
    /// many rows there are, and two aggregates of them.
    fn groups(&mut self, shape: &ViewShape, columns: &[usize]) -> (Scope, Vec<Expr>) {
        let key = self.keys[shape.root].columns();
        let by = if columns.is_empty() { key.as_slice() } else { columns };
        let (table, own) = if columns.is_empty() {
            (TableId(shape.root as u16), key.clone())
        } else {
            self.grouping(shape.root, columns)
        };
        let root = self.node_of(table, None);
        let edge = Edge {
            parent: root,
            down: self.access(shape.root, by, true),
            up: Access::Primary,
            parent_columns: own.clone(),
            child_columns: by.to_vec(),
            as_groups: true,
        };
        self.read(root, &own);
        let from = self.node(shape.root, Some(edge));
        let (scope, inner) = self.scope(from, &shape.branches, shape.filtered, true);
        let values = self.collection(scope, &inner, true, [0, 2, 15]);
        let mut outputs: Vec<Expr> = own.into_iter().map(|at| self.column(root, at)).collect();
        let filter = Some(values[0].clone());
        outputs.extend(values);
        (Scope { from: root, joins: Vec::new(), filter }, outputs)
    }

    /// The groups of a table by columns, and the places of these in their rows.
    fn grouping(&mut self, of: usize, by: &[usize]) -> (TableId, Vec<usize>) {
        let mut columns = by.to_vec();
        columns.sort_unstable();
        let key: Vec<usize> =
            by.iter().map(|column| columns.binary_search(column).unwrap()).collect();
        let Access::Index(index) = self.access(of, by, true) else { panic!("no index") };
        let held = &self.tables[of];
        let columns_held: Vec<Column> =
            columns.iter().map(|&column| held.columns[column].clone()).collect();
        let types: Vec<Type> = columns_held.iter().map(|column| column.ty).collect();
        let table = Table {
            name: held.name.clone(),
            source: TableSource::Captured,
            columns: columns_held,
            key: key.clone(),
            indexes: Vec::new(),
            computed: Vec::new(),
            layout: RowLayout::new(&types),
        };
        self.groupings.push(Grouping { of: TableId(of as u16), index, table, columns });
        (TableId((TABLES + self.groupings.len() - 1) as u16), key)
    }

    /// A scope from a node with these branches, and the values that it offers.
    fn scope(
        &mut self,
        from: NodeId,
        branches: &[Branch],
        filtered: bool,
        multiplies: bool,
    ) -> (Scope, Vec<Expr>) {
        let mut joins = Vec::new();
        let mut values = vec![];
        let mut bound = vec![from];
        for branch in branches {
            let parent = bound[branch.parent % bound.len()];
            match branch.kind {
                Kind::Lookup => {
                    let node = self.child(parent, branch, true);
                    let on = branch.filtered.then(|| self.column(node, V));
                    // Letters may be those of several keys.
                    let kind = if self.goes_by_letters(branch.table) {
                        let scope = Scope { from: node, joins: Vec::new(), filter: on };
                        JoinKind::Pick { scope, order_by: self.by_key(node, false) }
                    } else {
                        JoinKind::Lookup { node, on }
                    };
                    joins.push(Join { kind, required: branch.required });
                    values.push(self.column(node, W));
                    bound.push(node);
                }
                Kind::Each if multiplies => {
                    let node = self.child(parent, branch, false);
                    let (scope, inner) = self.scope(node, &branch.inner, branch.filtered, true);
                    joins.push(Join { kind: JoinKind::Each { scope }, required: branch.required });
                    values.push(self.column(node, W));
                    values.extend(inner);
                    bound.push(node);
                }
                Kind::Pick | Kind::Each => {
                    let node = self.child(parent, branch, false);
                    let (scope, inner) = self.scope(node, &branch.inner, branch.filtered, false);
                    let order_by = self.order(&[node], branch.descending);
                    joins.push(Join {
                        kind: JoinKind::Pick { scope, order_by },
                        required: branch.required,
                    });
                    let own = [self.column(node, W), self.column(node, D)];
                    for expr in own.into_iter().chain(inner) {
                        let ty = expr.ty;
                        let kind = ExprKind::IfPresent(node, Box::new(expr));
                        values.push(Expr { kind, ty, nullable: true });
                    }
                }
                Kind::Collection(aggregates) => {
                    let node = self.child(parent, branch, false);
                    let several = aggregates[0] != FIRST;
                    let (scope, inner) = self.scope(node, &branch.inner, branch.filtered, several);
                    values.extend(self.collection(scope, &inner, branch.descending, aggregates));
                }
            }
        }
        let filter = filtered.then(|| self.column(from, V));
        (Scope { from, joins, filter }, values)
    }

    /// The values of a collection.
    fn collection(
        &mut self,
        scope: Scope,
        inner: &[Expr],
        descending: bool,
        [first, second, third]: [u8; 3],
    ) -> Vec<Expr> {
        let nodes = scope.row_nodes();
        let alone = |kind: u8| matches!(kind, FIRST | EXISTS);
        let further = [second, third].into_iter().filter(|kind| *kind != NONE && !alone(*kind));
        let kinds = std::iter::once(first).chain(further.take(if alone(first) { 0 } else { 2 }));
        let (aggregates, types): (Vec<_>, Vec<_>) =
            kinds.map(|kind| self.aggregate(&nodes, inner, descending, kind)).unzip();
        self.collections.push(Collection { scope, aggregates });
        let place = self.collections.len() - 1;
        let value = |(i, ty)| Expr { kind: ExprKind::Collection(place, i), ty, nullable: true };
        types.into_iter().enumerate().map(value).collect()
    }

    fn aggregate(
        &mut self,
        nodes: &[NodeId],
        inner: &[Expr],
        descending: bool,
        kind: u8,
    ) -> (Aggregate, Type) {
        let from = nodes[0];
        let average = Type::Decimal { precision: 14, scale: 6 };
        match kind {
            0 => (Aggregate::CountRows, BIGINT),
            1 => (Aggregate::Count(self.value(from, inner)), BIGINT),
            2 => (Aggregate::Sum(self.column(from, D)), DECIMAL),
            3 => (Aggregate::Avg(self.column(from, D)), average),
            4 => (Aggregate::Min(self.column(from, V)), BIGINT),
            5 => (Aggregate::JsonArray(self.value(from, inner)), Type::Json),
            FIRST => {
                let value = self.value(from, inner);
                let ty = value.ty;
                (Aggregate::First { value, order_by: self.order(nodes, descending) }, ty)
            }
            EXISTS => (Aggregate::Exists, BIGINT),
            9 => {
                let values = vec![self.column(from, W), self.column(from, D)];
                (Aggregate::CountDistinct(values), BIGINT)
            }
            10 => (Aggregate::SumDistinct(self.column(from, D)), DECIMAL),
            11 => (Aggregate::AvgDistinct(self.column(from, D)), average),
            12 => {
                let op = if descending { BitOp::Xor } else { BitOp::And };
                (Aggregate::Bits(op, self.column(from, V)), UNSIGNED)
            }
            13 => {
                let (value, separator) = (self.column(from, W), "; ".to_owned());
                (Aggregate::ConcatDistinct { value, descending, separator }, TEXT)
            }
            // A key that is a text alone, or of one number, tells rows of one table apart.
            14 if nodes.len() == 1 && self.key_columns(from).len() == 1 => {
                let key = self.key_columns(from)[0];
                let (name, value) = (self.column(from, key), self.value(from, inner));
                (Aggregate::JsonObject { name, value }, Type::Json)
            }
            _ => {
                let (value, order_by) = (self.value(from, inner), self.order(nodes, descending));
                (Aggregate::GroupConcat { value, order_by, separator: " | ".to_owned() }, TEXT)
            }
        }
    }

    /// What a collection is made of: the last value offered inside, or a column.
    fn value(&mut self, from: NodeId, inner: &[Expr]) -> Expr {
        inner.last().cloned().unwrap_or_else(|| self.column(from, W))
    }

    /// An order of the rows that nodes make together.
    fn order(&mut self, nodes: &[NodeId], descending: bool) -> Vec<OrderBy> {
        let first = if descending { vec![V] } else { vec![W, V] };
        let term = |column| OrderBy { expr: self.column(nodes[0], column), descending };
        let mut terms: Vec<OrderBy> = first.into_iter().map(term).collect();
        nodes.iter().for_each(|&node| terms.extend(self.by_key(node, descending)));
        terms
    }

    /// By the key, text by its bytes.
    fn by_key(&mut self, node: NodeId, descending: bool) -> Vec<OrderBy> {
        let columns = self.key_columns(node);
        let term = |column| {
            let mut expr = self.column(node, column);
            if expr.ty == LETTERS {
                expr.ty = TEXT;
            }
            OrderBy { expr, descending }
        };
        columns.into_iter().map(term).collect()
    }

    fn goes_by_letters(&self, table: usize) -> bool {
        let Table { key, columns, .. } = &self.tables[table];
        key.iter().any(|&column| columns[column].ty == LETTERS)
    }

    fn key_columns(&self, node: NodeId) -> Vec<usize> {
        self.keys[usize::from(self.nodes[usize::from(node.0)].table.0)].columns()
    }

    fn child(&mut self, parent: NodeId, branch: &Branch, lookup: bool) -> NodeId {
        let parent_table = usize::from(self.nodes[usize::from(parent.0)].table.0);
        let (parent_columns, child_columns) = if lookup {
            let key = self.keys[branch.table];
            (key.references(branch.unsigned), key.columns())
        } else if branch.by_columns {
            (vec![2], vec![if branch.unsigned { 3 } else { 2 }])
        } else {
            let key = self.keys[parent_table];
            (key.columns(), key.references(branch.unsigned))
        };
        let edge = Edge {
            parent,
            down: self.access(branch.table, &child_columns, false),
            up: self.access(parent_table, &parent_columns, false),
            parent_columns,
            child_columns,
            as_groups: false,
        };
        self.read(parent, &edge.parent_columns);
        self.node(branch.table, Some(edge))
    }

    fn node(&mut self, table: usize, edge: Option<Edge>) -> NodeId {
        self.node_of(TableId(table as u16), edge)
    }

    fn node_of(&mut self, table: TableId, edge: Option<Edge>) -> NodeId {
        let node = NodeId(self.nodes.len() as u16);
        let reads = edge.iter().flat_map(|edge| edge.child_columns.clone()).collect();
        self.nodes.push(Node { alias: String::new(), table, reads, edge });
        node
    }

    fn access(&mut self, table: usize, columns: &[usize], as_groups: bool) -> Access {
        if self.keys[table].columns() == columns && (as_groups || !self.goes_by_letters(table)) {
            return Access::Primary;
        }
        let Table { indexes, columns: held, .. } = &mut self.tables[table];
        let shared = columns.iter().all(|&column| held[column].ty != LETTERS);
        let same = |index: &TableIndex| {
            index.columns == columns && (shared || index.as_groups == as_groups)
        };
        let place = indexes.iter().position(same).unwrap_or_else(|| {
            indexes.push(TableIndex { columns: columns.to_vec(), as_groups });
            indexes.len() - 1
        });
        indexes[place].as_groups |= as_groups;
        Access::Index(place)
    }

    fn column(&mut self, node: NodeId, column: usize) -> Expr {
        self.read(node, &[column]);
        let table = usize::from(self.nodes[usize::from(node.0)].table.0);
        let columns = match table.checked_sub(TABLES) {
            None => &self.tables[table].columns,
            Some(grouping) => &self.groupings[grouping].table.columns,
        };
        let ty = columns[column].ty;
        Expr { kind: ExprKind::Column { node, column }, ty, nullable: true }
    }

    fn read(&mut self, node: NodeId, columns: &[usize]) {
        let reads = &mut self.nodes[usize::from(node.0)].reads;
        for column in columns {
            if !reads.contains(column) {
                reads.push(*column);
            }
        }
    }
}
