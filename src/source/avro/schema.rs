//! A writer schema as the registry gives it: Avro's JSON, with what Kafka Connect and Debezium
//! note beside the types.
//!
//! Read here rather than by `apache-avro`, because that drops the attributes of primitive types,
//! and `connect.name` is where Debezium says that a string is an instant.

use std::collections::HashMap;

use serde_json::Value as Json;

/// A parsed schema: nodes that refer to each other by place, so that a type may contain itself.
#[derive(Debug)]
pub(super) struct Schema {
    nodes: Vec<Node>,
    root: NodeId,
}

/// Place of a node in its schema.
pub(super) type NodeId = usize;

/// One type, with what is noted beside it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// Connect's name of the type, as `io.debezium.time.ZonedTimestamp`; else Avro's logical type.
    pub(super) meaning: Option<String>,
    /// Digits after the point, of decimals.
    pub(super) scale: Option<u64>,
    /// The column's name and type in MySQL, where the connector propagates them.
    pub(super) column_name: Option<String>,
    pub(super) column_type: Option<String>,
}

/// How a value is encoded.
#[derive(Debug)]
pub(super) enum Shape {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum(Vec<String>),
    Array(NodeId),
    Map(NodeId),
    Union(Vec<NodeId>),
    Record(Vec<Field>),
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) node: NodeId,
}

/// Why text is no Avro schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Not JSON.
    #[error("it is no JSON: {0}")]
    Json(String),
    /// JSON that is no schema.
    #[error("`{0}` is no type")]
    NoType(String),
    /// A type without what it needs.
    #[error("type `{0}` lacks `{1}`")]
    Lacks(String, &'static str),
}

impl Schema {
    /// Reads a schema.
    pub(super) fn parse(text: &str) -> Result<Schema, SchemaError> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| SchemaError::Json(error.to_string()))?;
        let mut parser = Parser { nodes: Vec::new(), named: HashMap::new() };
        let root = parser.node(&json, "")?;
        Ok(Schema { nodes: parser.nodes, root })
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// The fields of a record; `None` for another type.
    pub(super) fn fields(&self, id: NodeId) -> Option<&[Field]> {
        match &self.nodes[id].shape {
            Shape::Record(fields) => Some(fields),
            _ => None,
        }
    }

    /// The type beside null, and the place of null, of a union of the two.
    pub(super) fn optional(&self, id: NodeId) -> Option<(NodeId, u8)> {
        let Shape::Union(branches) = &self.nodes[id].shape else { return None };
        let &[first, second] = branches.as_slice() else { return None };
        match (&self.nodes[first].shape, &self.nodes[second].shape) {
            (Shape::Null, _) => Some((second, 0)),
            (_, Shape::Null) => Some((first, 1)),
            _ => None,
        }
    }
}

struct Parser {
    nodes: Vec<Node>,
    /// Named types by full name.
    named: HashMap<String, NodeId>,
}

impl Parser {
    fn node(&mut self, json: &Json, namespace: &str) -> Result<NodeId, SchemaError> {
        match json {
            Json::String(name) => match primitive(name) {
                Some(shape) => Ok(self.add(shape, &Json::Null)),
                None => self.reference(name, namespace),
            },
            Json::Array(branches) => {
                let branches = branches.iter().map(|branch| self.node(branch, namespace));
                let branches = branches.collect::<Result<_, _>>()?;
                Ok(self.add(Shape::Union(branches), &Json::Null))
            }
            Json::Object(_) => self.object(json, namespace),
            other => Err(SchemaError::NoType(other.to_string())),
        }
    }

    fn object(&mut self, json: &Json, namespace: &str) -> Result<NodeId, SchemaError> {
        // `{"type": {…}}` and `{"type": […]}` stand for what is inside.
        let Some(kind) = json["type"].as_str() else { return self.node(&json["type"], namespace) };
        let lacks = |what| SchemaError::Lacks(kind.to_owned(), what);
        let shape = match kind {
            "array" => {
                Shape::Array(self.node(json.get("items").ok_or(lacks("items"))?, namespace)?)
            }
            "map" => Shape::Map(self.node(json.get("values").ok_or(lacks("values"))?, namespace)?),
            "record" | "enum" | "fixed" => {
                let name = json["name"].as_str().ok_or(lacks("name"))?;
                return self.named(
                    json,
                    kind,
                    name,
                    json["namespace"].as_str().unwrap_or(namespace),
                );
            }
            name => match primitive(name) {
                Some(shape) => shape,
                None => return self.reference(name, namespace),
            },
        };
        Ok(self.add(shape, json))
    }

    fn named(
        &mut self,
        json: &Json,
        kind: &str,
        name: &str,
        namespace: &str,
    ) -> Result<NodeId, SchemaError> {
        let lacks = |what| SchemaError::Lacks(name.to_owned(), what);
        let full = full_name(name, namespace);
        let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
        // Known before its fields are read, since they may refer to it.
        let id = self.add(Shape::Null, json);
        self.named.insert(full, id);
        self.nodes[id].shape = match kind {
            "fixed" => {
                let size = json["size"].as_u64().and_then(|size| usize::try_from(size).ok());
                Shape::Fixed(size.ok_or(lacks("size"))?)
            }
            "enum" => {
                let symbols = json["symbols"].as_array().ok_or(lacks("symbols"))?;
                let symbols = symbols.iter().filter_map(Json::as_str).map(str::to_owned);
                Shape::Enum(symbols.collect())
            }
            _ => {
                let mut fields = Vec::new();
                for field in json["fields"].as_array().ok_or(lacks("fields"))? {
                    let name = field["name"].as_str().ok_or(lacks("name"))?.to_owned();
                    fields.push(Field { name, node: self.node(&field["type"], &namespace)? });
                }
                Shape::Record(fields)
            }
        };
        Ok(id)
    }

    fn reference(&self, name: &str, namespace: &str) -> Result<NodeId, SchemaError> {
        let found = self.named.get(&full_name(name, namespace)).or_else(|| self.named.get(name));
        found.copied().ok_or_else(|| SchemaError::NoType(name.to_owned()))
    }

    fn add(&mut self, shape: Shape, json: &Json) -> NodeId {
        let text = |json: &Json| json.as_str().map(str::to_owned);
        let parameters = &json["connect.parameters"];
        let scale = json["scale"].as_u64();
        let parameter = || parameters["scale"].as_str().and_then(|scale| scale.parse().ok());
        self.nodes.push(Node {
            shape,
            meaning: text(&json["connect.name"]).or_else(|| text(&json["logicalType"])),
            scale: scale.or_else(parameter),
            column_name: text(&parameters["__debezium.source.column.name"]),
            column_type: text(&parameters["__debezium.source.column.type"]),
        });
        self.nodes.len() - 1
    }
}

fn primitive(name: &str) -> Option<Shape> {
    Some(match name {
        "null" => Shape::Null,
        "boolean" => Shape::Boolean,
        "int" => Shape::Int,
        "long" => Shape::Long,
        "float" => Shape::Float,
        "double" => Shape::Double,
        "bytes" => Shape::Bytes,
        "string" => Shape::String,
        _ => return None,
    })
}

fn full_name(name: &str, namespace: &str) -> String {
    match namespace {
        _ if name.contains('.') => name.to_owned(),
        "" => name.to_owned(),
        _ => format!("{namespace}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_resolve_in_their_namespace() {
        let schema = Schema::parse(
            r#"{"type": "record", "name": "a.b.R", "fields": [
                {"name": "x", "type": ["null", {"type": "record", "name": "S", "fields": [
                    {"name": "again", "type": ["null", "R"]},
                    {"name": "t", "type": {"type": "string", "connect.name": "io.debezium.time.ZonedTimestamp",
                        "connect.parameters": {"__debezium.source.column.type": "TIMESTAMP"}}}]}]},
                {"name": "y", "type": ["a.b.S", "null"]}]}"#,
        )
        .unwrap();
        let fields = schema.fields(schema.root()).unwrap();
        let (inner, null) = schema.optional(fields[0].node).unwrap();
        assert_eq!(null, 0);
        assert_eq!(schema.optional(fields[1].node), Some((inner, 1)));
        let inner = schema.fields(inner).unwrap();
        assert_eq!(schema.optional(inner[0].node), Some((schema.root(), 0)));
        let instant = schema.node(inner[1].node);
        assert_eq!(instant.meaning.as_deref(), Some("io.debezium.time.ZonedTimestamp"));
        assert_eq!(instant.column_type.as_deref(), Some("TIMESTAMP"));
    }

    #[test]
    fn what_is_no_schema_is_named() {
        for (text, message) in [
            ("{", "it is no JSON"),
            ("7", "`7` is no type"),
            (r#""Missing""#, "`Missing` is no type"),
            (r#"{"type": "array"}"#, "type `array` lacks `items`"),
            (r#"{"type": "record", "name": "R"}"#, "type `R` lacks `fields`"),
            (&"[".repeat(10_000), "it is no JSON"),
        ] {
            let error = Schema::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
