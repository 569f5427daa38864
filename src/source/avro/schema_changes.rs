//! Statements that changed tables, as Debezium tells them.

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::cursor::{Cursor, Malformed};
use super::schema::{NodeId, Schema, Shape};
use super::{Decoded, Failure, Reason, Side, Unfit, split};
use crate::source::record::Content;
use crate::source::rewrites::{Columns, Form, SchemaChange, TableChange};

/// Decodes the records of the schema-change topic, which is named as the prefix of all topics.
#[derive(Debug)]
pub struct SchemaChangeDecoder {
    /// What is of another database is nothing.
    database: String,
    schemas: Vec<(u32, Schema)>,
}

/// What is read of a record.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    source: Source,
    database_name: Option<String>,
    ddl: Option<String>,
    table_changes: Vec<WrittenTable>,
}

#[derive(Deserialize)]
struct Source {
    snapshot: Option<String>,
    gtid: Option<String>,
}

#[derive(Deserialize)]
struct WrittenTable {
    #[serde(rename = "type")]
    kind: String,
    id: String,
    table: Option<WrittenForm>,
}

#[derive(Deserialize)]
struct WrittenForm {
    columns: Vec<WrittenColumn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenColumn {
    name: String,
    type_name: String,
    length: Option<i64>,
    scale: Option<i64>,
    charset_name: Option<String>,
    #[serde(default)]
    enum_values: Option<Vec<String>>,
    optional: Option<bool>,
}

impl SchemaChangeDecoder {
    /// A decoder of what concerns this database.
    pub fn new(database: &str) -> SchemaChangeDecoder {
        SchemaChangeDecoder { database: database.to_owned(), schemas: Vec::new() }
    }

    /// Takes the schema of values with this id.
    ///
    /// # Errors
    /// A schema that is not of schema changes.
    pub fn add_schema(&mut self, id: u32, text: &str) -> Result<(), Unfit> {
        let schema = Schema::parse(text).map_err(|error| Unfit::Schema { id, error })?;
        let fields = schema.fields(schema.root()).unwrap_or_default();
        for field in ["source", "databaseName", "ddl", "tableChanges"] {
            if fields.iter().all(|there| there.name != field) {
                return Err(Unfit::Field { id, field });
            }
        }
        self.schemas.push((id, schema));
        Ok(())
    }

    /// Decodes a record from its value.
    ///
    /// # Errors
    /// A schema that was not added yet, or a record that cannot be read.
    pub fn decode(&self, value: Option<&[u8]>) -> Result<Decoded, Failure> {
        let ignored = Decoded { content: Content::Ignored, committed_us: 0 };
        let Some(value) = value else { return Ok(ignored) };
        let (id, body) = split(value, Side::Value)?;
        let Some((_, schema)) = self.schemas.iter().rfind(|(known, _)| *known == id) else {
            return Err(Failure::Schema(Side::Value, id));
        };
        let json =
            whole(body, schema).map_err(|error| Reason::Malformed(Side::Value, id, error))?;
        let written: Written = serde_json::from_value(json)
            .map_err(|error| Reason::SchemaChange(error.to_string()))?;
        let tables: Vec<TableChange> =
            written.table_changes.into_iter().filter_map(|table| self.change(table)).collect();
        if tables.is_empty() && written.database_name.is_none_or(|name| name != self.database) {
            return Ok(ignored);
        }
        let is_followed =
            matches!(written.source.snapshot.as_deref(), None | Some("false" | "incremental"));
        let gtid = match is_followed {
            true => {
                let gtid = written.source.gtid.unwrap_or_default();
                Some(gtid.parse().map_err(Reason::from)?)
            }
            false => None,
        };
        let ddl = written.ddl.unwrap_or_default().into();
        let change = SchemaChange { gtid, ddl, tables };
        Ok(Decoded { content: Content::SchemaChange(Box::new(change)), committed_us: 0 })
    }

    /// What became of a table, if it is of the database.
    fn change(&self, written: WrittenTable) -> Option<TableChange> {
        let (database, name) = names(&written.id)?;
        if database != self.database {
            return None;
        }
        let columns = written.table.filter(|_| written.kind != "DROP");
        let columns =
            columns.map(|form| form.columns.into_iter().map(form_of).collect::<Columns>());
        Some(TableChange { name: name.into(), columns })
    }
}

fn form_of(column: WrittenColumn) -> (Box<str>, Form) {
    let form = Form {
        ty: column.type_name.to_uppercase().into(),
        length: column.length,
        scale: column.scale,
        charset: column.charset_name.map(Into::into),
        values: column.enum_values.unwrap_or_default().into_iter().map(Into::into).collect(),
        nullable: column.optional.unwrap_or(false),
    };
    (column.name.to_lowercase().into(), form)
}

/// Database and table of `"database"."table"`.
fn names(id: &str) -> Option<(String, String)> {
    let (database, table) = id.strip_prefix('"')?.strip_suffix('"')?.split_once("\".\"")?;
    Some((database.replace("\"\"", "\""), table.replace("\"\"", "\"")))
}

/// A record as JSON: there are few of them, and none is large.
fn whole(body: &[u8], schema: &Schema) -> Result<Json, Malformed> {
    let mut passed = Cursor::new(body);
    // Bounds the depth, too.
    passed.skip(schema, schema.root())?;
    passed.finish()?;
    json(&mut Cursor::new(body), schema, schema.root())
}

fn json(cursor: &mut Cursor<'_>, schema: &Schema, node: NodeId) -> Result<Json, Malformed> {
    Ok(match &schema.node(node).shape {
        Shape::Boolean => Json::Bool(cursor.take(1)? != [0]),
        Shape::Int | Shape::Long => Json::from(cursor.number()?),
        Shape::String => Json::from(String::from_utf8_lossy(cursor.bytes()?)),
        Shape::Enum(symbols) => {
            let symbol = usize::try_from(cursor.number()?).ok().and_then(|at| symbols.get(at));
            symbol.map_or(Json::Null, |symbol| Json::from(symbol.as_str()))
        }
        Shape::Union(branches) => {
            let at = cursor.at();
            let branch = usize::try_from(cursor.number()?).ok();
            let branch = branch.and_then(|branch| branches.get(branch));
            json(cursor, schema, *branch.ok_or(Malformed::Branch(at))?)?
        }
        Shape::Record(fields) => {
            let mut object = Map::new();
            for field in fields {
                object.insert(field.name.clone(), json(cursor, schema, field.node)?);
            }
            Json::Object(object)
        }
        Shape::Array(items) => {
            let mut array = Vec::new();
            loop {
                match cursor.block()? {
                    0 => break Json::Array(array),
                    count => {
                        for _ in 0..count {
                            array.push(json(cursor, schema, *items)?);
                        }
                    }
                }
            }
        }
        // Nothing of these is looked at.
        Shape::Null
        | Shape::Float
        | Shape::Double
        | Shape::Bytes
        | Shape::Fixed(_)
        | Shape::Map(_) => {
            cursor.skip(schema, node)?;
            Json::Null
        }
    })
}
