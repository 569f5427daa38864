//! Paths into JSON, found in its normalized text without reading the rest of it.

use super::write_json_string;

/// A path, as `$.items[0].name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath(Vec<Leg>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Leg {
    /// `.name`, the name as JSON writes it.
    Member(Vec<u8>),
    /// `.*`
    Members,
    /// `[n]`
    Cell(usize),
    /// `[last - n]`
    CellFromLast(usize),
    /// `[*]`
    Cells,
}

impl JsonPath {
    /// Reads MySQL's notation.
    ///
    /// # Errors
    /// What is wrong with it, or not supported, in words that go on after "the path '…'".
    pub fn parse(path: &str) -> Result<JsonPath, String> {
        let mut rest = path.trim().strip_prefix('$').ok_or("does not begin with $")?.trim_start();
        let mut legs = Vec::new();
        while !rest.is_empty() {
            let leg;
            (leg, rest) = if let Some(member) = rest.strip_prefix('.') {
                member_leg(member.trim_start())?
            } else if let Some(cell) = rest.strip_prefix('[') {
                let (inside, behind) = cell.split_once(']').ok_or("has a [ without ]")?;
                (cell_leg(inside.trim())?, behind)
            } else if rest.starts_with("**") {
                return Err("has **, which is not supported: write the way out, or .*".to_owned());
            } else {
                return Err(format!("is not understood at '{rest}'"));
            };
            legs.push(leg);
            rest = rest.trim_start();
        }
        Ok(JsonPath(legs))
    }

    /// Whether it may lead to several values.
    pub(crate) fn is_wild(&self) -> bool {
        self.0.iter().any(|leg| matches!(leg, Leg::Members | Leg::Cells))
    }

    /// Calls `found` with every value that the path leads to, in their order, as text.
    pub(crate) fn find<'t>(&self, json: &'t str, found: &mut impl FnMut(&'t str)) {
        walk(&self.0, json, found);
    }
}

fn member_leg(text: &str) -> Result<(Leg, &str), String> {
    if let Some(behind) = text.strip_prefix('*') {
        return Ok((Leg::Members, behind));
    }
    let quoted = text.starts_with('"');
    let end = if quoted {
        string_end(text.as_bytes())
    } else {
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$');
        text.find(|c| !part(c)).unwrap_or(text.len())
    };
    let (name, behind) = text.split_at(end);
    let name: Option<String> = match quoted {
        true => serde_json::from_str(name).ok(),
        false => Some(name.to_owned()).filter(|name| !name.starts_with(|c: char| c.is_numeric())),
    };
    let name = name.filter(|name| quoted || !name.is_empty());
    let name = name.ok_or_else(|| format!("has no name at '{text}': write it as $.\"name\""))?;
    let mut json = Vec::new();
    write_json_string(&mut json, name);
    Ok((Leg::Member(json), behind))
}

fn cell_leg(text: &str) -> Result<Leg, String> {
    let place = |text: &str| text.trim().parse::<u32>().ok().map(|place| place as usize);
    let leg = match text.strip_prefix("last") {
        None if text == "*" => Some(Leg::Cells),
        None => place(text).map(Leg::Cell),
        Some("") => Some(Leg::CellFromLast(0)),
        Some(behind) => {
            behind.trim_start().strip_prefix('-').and_then(place).map(Leg::CellFromLast)
        }
    };
    leg.ok_or_else(|| format!("has [{text}], which is not supported: there are [n], [last], [*]"))
}

fn walk<'t>(legs: &[Leg], json: &'t str, found: &mut impl FnMut(&'t str)) {
    let Some((leg, rest)) = legs.split_first() else { return found(json) };
    match leg {
        Leg::Member(name) => {
            let mut members = members(json);
            if let Some((_, value)) = members.find(|(known, _)| known.as_bytes() == name) {
                walk(rest, value, found);
            }
        }
        Leg::Members => members(json).for_each(|(_, value)| walk(rest, value, found)),
        Leg::Cells => cells(json).for_each(|value| walk(rest, value, found)),
        Leg::Cell(place) => cell(json, Some(*place)).into_iter().for_each(|v| walk(rest, v, found)),
        Leg::CellFromLast(back) => {
            let length = if json.starts_with('[') { cells(json).count() } else { 1 };
            let place = length.checked_sub(back + 1);
            cell(json, place).into_iter().for_each(|value| walk(rest, value, found));
        }
    }
}

/// One element of an array; what is no array is the only element of one.
fn cell(json: &str, place: Option<usize>) -> Option<&str> {
    if json.starts_with('[') {
        cells(json).nth(place?)
    } else {
        Some(json).filter(|_| place == Some(0))
    }
}

/// How many elements an array or members an object has; 1 for anything else.
pub(crate) fn json_length(json: &str) -> usize {
    match json.as_bytes().first() {
        Some(b'[') => cells(json).count(),
        Some(b'{') => members(json).count(),
        _ => 1,
    }
}

/// The members of an object, names as JSON writes them; none of anything else.
pub(crate) fn members(json: &str) -> impl Iterator<Item = (&str, &str)> {
    items(json, '{').map(|member| {
        let (name, value) = member.split_at(string_end(member.as_bytes()));
        (name, value.strip_prefix(": ").unwrap_or(value))
    })
}

/// The elements of an array; none of anything else.
fn cells(json: &str) -> impl Iterator<Item = &str> {
    items(json, '[')
}

/// What stands between the commas of an array or object.
fn items(json: &str, opening: char) -> impl Iterator<Item = &str> {
    let inside = json.strip_prefix(opening).and_then(|rest| rest.strip_suffix([']', '}']));
    let mut rest = inside.filter(|inside| !inside.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = item_end(text.as_bytes());
        let (item, behind) = text.split_at(end);
        rest = behind.strip_prefix(", ");
        Some(item)
    })
}

/// Where the first item ends: at a comma outside of strings and brackets.
fn item_end(text: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at += string_end(&text[at..]) - 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Where a string ends that the text begins with, its quotes included.
fn string_end(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"": 3, "a": [1, {"b": ", x\"]"}, [2, 3]], "é": {}, "a b": null}"#;

    #[test]
    fn paths_lead_to_values() {
        for (path, want) in [
            ("$", &[JSON][..]),
            ("$.a[0]", &["1"]),
            (" $ . a [ 1 ] . b ", &[r#"", x\"]""#]),
            ("$.a[last]", &["[2, 3]"]),
            ("$.a[last-2]", &["1"]),
            ("$.a[last - 3]", &[]),
            ("$.a[3]", &[]),
            ("$.a[2][1]", &["3"]),
            ("$.a[0][0]", &["1"]),
            ("$.a[0][last]", &["1"]),
            ("$.a[0][1]", &[]),
            ("$.a[*]", &["1", r#"{"b": ", x\"]"}"#, "[2, 3]"]),
            ("$.a[*][0]", &["1", r#"{"b": ", x\"]"}"#, "2"]),
            ("$.a[*].*", &[r#"", x\"]""#]),
            ("$.é", &["{}"]),
            ("$.é.*", &[]),
            ("$.\"\\u00e9\"", &["{}"]),
            ("$.\"a b\"", &["null"]),
            ("$.\"\"", &["3"]),
            ("$.b", &[]),
            ("$[0].a[0]", &["1"]),
            ("$[1]", &[]),
            ("$[*]", &[]),
        ] {
            let mut found = Vec::new();
            JsonPath::parse(path).unwrap().find(JSON, &mut |value| found.push(value));
            assert_eq!(found, want, "{path}");
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for path in
            ["", "a", "$.", "$a", "$.1", "$[", "$[x]", "$[-1]", "$[0 to 1]", "$**.a", "$.\"a"]
        {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn lengths_count_what_is_directly_inside() {
        for (json, want) in [("[]", 0), ("{}", 0), ("5", 1), (r#""a, b""#, 1), (JSON, 4)] {
            assert_eq!(json_length(json), want, "{json}");
        }
    }
}
