//! The forms of expressions that have a fixed shape, function by function of `docs/sql.md`.

use rand::seq::IndexedRandom;

use super::select::{Named, Writer};
use super::tree::{Class, Tree};

/// How an expression of a class may be written: `{Text}` and so on stand for expressions of that
/// class, lower-case names for one of their [`constants`].
struct Form {
    class: Class,
    /// Whether it raises no error, whatever its parts are, and stands in conditions: of a LEFT JOIN
    /// MySQL 9.7 makes a JOIN because of FIELD, which is not NULL where its arguments are.
    is_calm: bool,
    sql: &'static str,
}

/// Forms of a class each: those that are calm, and those that are not.
macro_rules! forms {
    ($($class:ident: [$($calm:literal),* $(,)?], [$($raising:literal),* $(,)?];)*) => {
        &[$(
            $(Form { class: Class::$class, is_calm: true, sql: $calm },)*
            $(Form { class: Class::$class, is_calm: false, sql: $raising },)*
        )*]
    };
}

const FORMS: &[Form] = forms! {
    Number: [
        "FLOOR({Number})", "CEIL({Number})", "ROUND({Number}, {few})", "TRUNCATE({Number}, {few})",
        "ROUND({Number})", "TRUNCATE({Number}, -{few})", "TRUNCATE({Number}, CHAR_LENGTH({Text}))",
        "MOD({Number}, {Number})", "SIGN({Number})", "CAST({Number} AS SIGNED)",
        "CAST({Number} AS DECIMAL(20,4))", "CAST({Floating} AS DECIMAL(30,6))",
        "CAST({Floating} AS SIGNED)", "CONVERT({Number}, UNSIGNED)", "({Condition})", "({Condition})",
        "CHAR_LENGTH({Text})", "LENGTH({Text})", "BIT_LENGTH({Text})", "ASCII({Text})", "ORD({Text})",
        "LOCATE({Text}, {Text})", "LOCATE({Text}, {Text}, {few})", "POSITION({Text} IN {Text})",
        "INSTR({Text}, {Text})", "STRCMP({Text}, {Text})",
        "CRC32({Text})", "CAST({Text} AS SIGNED)", "CAST({Text} AS DECIMAL(12,3))",
        "YEAR({Date}) + 0", "QUARTER({Instant})", "MONTH({Date})", "DAY({Instant})",
        "DAYOFMONTH({Date})", "WEEK({Date}, {few})", "WEEK({Instant}, 7)", "WEEKOFYEAR({Date})",
        "YEARWEEK({Date}, {few})", "WEEKDAY({Instant})", "DAYOFWEEK({Date})", "DAYOFYEAR({Date})",
        "TO_DAYS({Instant})", "HOUR({Time})", "MINUTE({Instant})", "SECOND({Time})",
        "MICROSECOND({Instant})", "TIME_TO_SEC({Time})", "EXTRACT({unit} FROM {Instant})",
        "EXTRACT(HOUR FROM {Time})", "DATEDIFF({Date}, {Instant})", "DATEDIFF({Instant}, {day})",
        "TIMESTAMPDIFF({unit}, {Date}, {Instant})", "TIMESTAMPDIFF({unit}, {Instant}, {day})",
        "UNIX_TIMESTAMP({Date})", "UNIX_TIMESTAMP(CAST({Instant} AS DATETIME(6)))",
        "JSON_LENGTH({Json})", "JSON_LENGTH({Json}, {path})", "({Bit} + 0)", "({Year} + 1)",
    ], [
        "({Number} + {Number})", "({Number} + {Number})", "({Number} + {Number})",
        "({Number} + {Number})", "({Number} - {Number})", "({Number} - {Number})",
        "({Number} - {Number})", "({Number} - {Number})", "({Number} * {Number})",
        "({Number} * {Number})", "({Number} * {Number})", "({Number} / {Number})",
        "({Number} / {Number})", "({Number} / {Number})", "(CAST({Number} AS SIGNED) DIV CAST({Number} AS SIGNED))",
        "({Number} % {Number})", "(-{Number})", "ABS({Number})", "ROUND({Number}, -{few})",
        "FIELD({Text}, {Text}, {Text})",
    ];
    Floating: [], [
        "({Floating} + {Number})", "({Floating} * {Floating})", "({Floating} / {Number})",
        "CAST({Number} AS DOUBLE)", "CAST({Float} AS DOUBLE)", "SQRT({Number})", "ROUND({Floating})",
        "ROUND({Floating}, {few})", "TRUNCATE({Floating}, {few})", "ABS({Floating})",
        "CAST({Text} AS DOUBLE)",
    ];
    Text: [
        "CONCAT({Text}, {Number})", "CONCAT({Text}, '-', {Text})", "CONCAT({Text}, {Time}, {Floating})",
        "CONCAT_WS('/', {Text}, {Instant}, {Date})", "CAST({Text} AS CHAR({few}))",
        "CAST({Number} AS CHAR)", "({Text} COLLATE utf8mb4_0900_bin)",
        "({Loose} COLLATE utf8mb4_0900_bin)",
        "CONCAT({Text}, {Listed})", "UPPER({Text})", "LOWER({Text})", "UCASE({Text})", "LCASE({Text})",
        "LEFT({Text}, {few})", "LEFT({Text}, {Number})", "RIGHT({Text}, {few})",
        "RIGHT({Text}, {Number})", "SUBSTRING({Text}, {Number})", "SUBSTRING({Text}, {Number}, {few})",
        "SUBSTRING({Text} FROM {few} FOR 2)", "SUBSTR({Text}, -{few})", "MID({Text}, {few}, {Number})",
        "SUBSTRING_INDEX({Text}, {Text}, {few})", "SUBSTRING_INDEX({Text}, 'b', -{few})",
        "TRIM({Text})", "LTRIM({Text})", "RTRIM({Text})", "TRIM(LEADING {Text} FROM {Text})",
        "TRIM(TRAILING {Text} FROM {Text})", "TRIM(BOTH {Text} FROM {Text})",
        "LPAD({Text}, {few}, {Text})", "RPAD({Text}, {few}, {Text})", "LPAD({Number}, 9, '0')",
        "REPLACE({Text}, {Text}, {Text})", "INSERT({Text}, {few}, {few}, {Text})", "REVERSE({Text})",
        "REPEAT({Text}, {few})", "CONCAT('[', SPACE({few}), ']')", "ELT({Number}, {Text}, {Text})",
        "HEX({Text})", "HEX({Number})", "CONVERT(MD5({Text}) USING utf8mb4)", "CONCAT('#', SHA1({Text}))", "SHA2({Text}, 256)",
        "DATE_FORMAT({Instant}, {format})", "CONCAT({Text}, DATE_FORMAT({Date}, {format}))",
        "MONTHNAME({Date})", "DAYNAME({Instant})", "FROM_UNIXTIME(CHAR_LENGTH({Text}), {format})",
        "CAST({Instant} AS CHAR)", "JSON_QUOTE({Text})",
        "(JSON_UNQUOTE(JSON_EXTRACT({Json}, {path})) COLLATE utf8mb4_0900_bin)",
    ], [];
    Loose: ["CONCAT({Loose}, {Text})", "LEFT({Loose}, {few})"], [];
    Date: [
        "DATE({Instant})", "CAST({Instant} AS DATE)", "LAST_DAY({Instant})",
        "({Date} + INTERVAL {Number} {days})", "({Date} - INTERVAL {few} {days})",
        "ADDDATE({Date}, {Number})", "SUBDATE({Date}, {few})",
        "DATE_SUB({Date}, INTERVAL {Number} {days})", "TIMESTAMPADD({days}, {few}, {Date})",
    ], [];
    Instant: [
        "CAST({Date} AS DATETIME({few}))", "CAST({Instant} AS DATETIME({few}))",
        "CAST({Instant} AS DATETIME)", "TIMESTAMP({Instant})", "TIMESTAMP({Date}, {Time})",
        "({Instant} + INTERVAL {Number} {unit})", "({Instant} - INTERVAL {few} {unit})",
        "({Date} + INTERVAL {Number} {hours})", "DATE_ADD({Instant}, INTERVAL {few} {unit})",
        "TIMESTAMPADD({hours}, {Number}, {Instant})", "FROM_UNIXTIME({Number})",
        "FROM_UNIXTIME(CHAR_LENGTH({Text}) * 1000000.25)",
    ], [];
    Time: [
        "TIME({Instant})", "CAST({Instant} AS TIME)", "CAST({Time} AS TIME({few}))",
        "(CAST({Time} AS TIME) + INTERVAL {few} HOUR)",
    ], [];
    Json: [
        "JSON_EXTRACT({Json}, {path})", "JSON_EXTRACT({Json}, {path}, {path})", "JSON_KEYS({Json})",
        "JSON_KEYS({Json}, '$.a')",
    ], [
        "CAST({Text} AS JSON)", "JSON_EXTRACT({Text}, {path})", "JSON_OBJECT({Text}, {Number}, 'k', {Text})",
    ];
    Condition: [
        "({Text} LIKE {pattern})", "({Text} LIKE {pattern})", "({Text} NOT LIKE {pattern})",
        "({Text} LIKE {Text})", "({Text} LIKE CONCAT({Text}, '%'))", "({Text} COLLATE utf8mb4_0900_ai_ci = {word})", "({Text} LIKE {pattern} ESCAPE '|')",
        "({Listed} = {Text})", "({Listed} <> {Listed})", "({Listed} IN ({Text}, 'a'))",
        "({Bytes} = {Bytes})", "({Bytes} < X'4142')", "({Date} >= {day})", "({Instant} < {day})",
        "({Condition} XOR {Condition})", "({Condition} IS FALSE)", "({Condition} IS NOT TRUE)",
        "JSON_VALID({Text})", "JSON_VALID({Json})",
    ], [];
};

/// What a name in lower case stands for.
fn constants(name: &str) -> &'static [&'static str] {
    match name {
        "few" => &["0", "1", "2", "3", "4"],
        "unit" => {
            &["YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "MICROSECOND"]
        }
        "days" => &["YEAR", "QUARTER", "MONTH", "WEEK", "DAY"],
        "hours" => &["HOUR", "MINUTE", "SECOND", "MICROSECOND"],
        "day" => &["'2024-01-31'", "'2023-12-31 23:59:59.5'"],
        "format" => {
            &["'%Y-%m-%d'", "'%H:%i:%s.%f'", "'%a %D %b %y %j %U %v %x'", "'%W %M %e %r %p'"]
        }
        "pattern" => &["'a%'", "'%b%'", "'_'", "'%|%'", "'a\\\\_%'", "'%É'", "''", "'%ss%'"],
        "word" => &["'A'", "'SS'", "'é'", "' '"],
        "path" => {
            &["'$.a'", "'$.bb[0]'", "'$[last]'", "'$[*]'", "'$.*'", "'$'", "'$.\"é\"'", "'$[1]'"]
        }
        _ => panic!("no constants are called {name}"),
    }
}

impl Writer<'_> {
    /// An expression of the class by one of its forms, if it has any.
    pub(crate) fn form(
        &mut self,
        class: Class,
        names: &[Named],
        depth: usize,
    ) -> Option<Vec<Tree>> {
        let is_calm = self.is_calm;
        let able = FORMS.iter().filter(|form| form.class == class && (form.is_calm || !is_calm));
        let able: Vec<&Form> = able.collect();
        // Those that may raise an error stand behind the others, and are written as often.
        let calm = able.iter().filter(|form| form.is_calm).count();
        let half = match self.chance(0.5) {
            true if calm > 0 => &able[..calm],
            _ if calm < able.len() => &able[calm..],
            _ => &able,
        };
        let form = half.choose(self.random)?;
        let mut parts = Vec::new();
        for piece in form.sql.split('}') {
            let (text, name) = piece.split_once('{').unwrap_or((piece, ""));
            parts.push(Tree::text(text));
            if name.starts_with(char::is_lowercase) {
                parts.push(Tree::text(*constants(name).choose(self.random)?));
            } else if let Some(class) = Class::named(name) {
                parts.push(self.expression(class, names, depth.saturating_sub(1)));
            }
        }
        Some(parts)
    }
}
