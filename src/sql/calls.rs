//! Function calls.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::aggregates::AGGREGATES;
use super::build::refused;
use super::conditions::deciding;
use super::error::{Refusal, Refused, did_you_mean};
use super::expr::{Expr, ExprKind};
use super::functions::{Function, function, function_names};
use super::names::Names;
use super::tree::Planner;
use crate::value::{Collation, Type, Value};

/// Functions of the clock; UNIX_TIMESTAMP is one without an argument.
const CLOCK: [&str; 13] = [
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURTIME",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
    "SYSDATE",
    "UNIX_TIMESTAMP",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
];

/// Functions of chance, of the session and of the server.
const VOLATILE: [&str; 31] = [
    "BENCHMARK",
    "CONNECTION_ID",
    "CURRENT_ROLE",
    "CURRENT_USER",
    "DATABASE",
    "FOUND_ROWS",
    "GET_LOCK",
    "ICU_VERSION",
    "IS_FREE_LOCK",
    "IS_USED_LOCK",
    "LAST_INSERT_ID",
    "LOAD_FILE",
    "MASTER_POS_WAIT",
    "PS_CURRENT_THREAD_ID",
    "PS_THREAD_ID",
    "RAND",
    "RANDOM_BYTES",
    "RELEASE_ALL_LOCKS",
    "RELEASE_LOCK",
    "ROLES_GRAPHML",
    "ROW_COUNT",
    "SCHEMA",
    "SESSION_USER",
    "SLEEP",
    "SOURCE_POS_WAIT",
    "SYSTEM_USER",
    "USER",
    "UUID",
    "UUID_SHORT",
    "VERSION",
    "WAIT_FOR_EXECUTED_GTID_SET",
];

/// Functions whose second argument may be an INTERVAL.
const WITH_INTERVAL: [&str; 4] = ["ADDDATE", "DATE_ADD", "DATE_SUB", "SUBDATE"];

/// Functions whose first argument is a unit of time.
const WITH_UNIT: [&str; 2] = ["TIMESTAMPADD", "TIMESTAMPDIFF"];

/// Aggregates that MySQL has and views cannot use.
const OTHER_AGGREGATES: [&str; 9] = [
    "ANY_VALUE",
    "STD",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "ST_COLLECT",
    "VARIANCE",
    "VAR_POP",
    "VAR_SAMP",
];

impl Planner<'_> {
    /// A call as written.
    pub(super) fn function(
        &mut self,
        sql: &ast::Expr,
        call: &ast::Function,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let name = call.name.to_string().trim_matches('`').to_uppercase();
        if call.over.is_some() {
            let message = format!(
                "the window function {name} … OVER: number and rank rows where they are read, or take one row by JOIN LATERAL (… ORDER BY … LIMIT 1)"
            );
            return Err(Refusal::on(sql, message));
        }
        let bare = match &call.args {
            FunctionArguments::List(list) => list.args.is_empty(),
            _ => true,
        };
        let clock = CLOCK.contains(&name.as_str()) && (bare || name != "UNIX_TIMESTAMP");
        if clock || VOLATILE.contains(&name.as_str()) {
            let way_out = if clock {
                "compare instants where the document is read"
            } else {
                "write what it gives into a column"
            };
            let message = format!(
                "{name}() changes without any row changing, so a document could not stay true: {way_out}"
            );
            return Err(Refusal::on(sql, message));
        }
        if OTHER_AGGREGATES.contains(&name.as_str()) {
            let message = format!(
                "the aggregate {name} is not supported: there are {}",
                AGGREGATES.join(", ")
            );
            return Err(Refusal::on(sql, message));
        }
        if call.filter.is_some() || !call.within_group.is_empty() || call.null_treatment.is_some() {
            return Err(Refusal::on(
                sql,
                format!("a clause behind {name}(…) that is not MySQL: leave it out"),
            ));
        }
        if AGGREGATES.contains(&name.as_str()) {
            return self.aggregate(sql, &name, call, names);
        }
        let FunctionArguments::List(list) = &call.args else {
            return Err(Refusal::on(sql, format!("{name} without arguments: write {name}(…)")));
        };
        if let Some(clause) = list.clauses.first() {
            return Err(Refusal::on(sql, format!("`{clause}` inside of {name}: leave it out")));
        }
        let arguments = list.args.iter().map(|argument| match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) => Ok(argument),
            _ => Err(Refusal::on(sql, format!("this argument of {name}: write an expression"))),
        });
        let arguments = arguments.collect::<Refused<Vec<_>>>()?;
        self.named_function(sql, &name, &arguments, names)
    }

    /// A call of the function of this name, in upper case.
    pub(super) fn named_function(
        &mut self,
        sql: &ast::Expr,
        name: &str,
        arguments: &[&ast::Expr],
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let Some(Function { arity, build, .. }) = function(name) else {
            let known = function_names();
            let hint = did_you_mean(name, known.iter().copied());
            let message = format!(
                "the function {name} is not supported{hint}; there are {}, CASE, CAST and the aggregates {}",
                known.join(", "),
                AGGREGATES.join(", ")
            );
            return Err(Refusal::on(sql, message));
        };
        if !arity.contains(&arguments.len()) {
            let wanted = match (*arity.start(), *arity.end()) {
                (least, most) if least == most => format!("{least}"),
                (least, most) if most >= 1000 => format!("{least} or more"),
                (least, most) => format!("{least} to {most}"),
            };
            let message = format!("{name} takes {wanted} argument(s), not {}", arguments.len());
            return Err(Refusal::on(sql, message));
        }
        let arguments = self.typed_arguments(sql, name, arguments, names)?;
        let built = build(arguments, sql.to_string());
        refused(sql, built)
    }

    /// EXTRACT, whose unit is its first argument.
    pub(super) fn extract(
        &mut self,
        sql: &ast::Expr,
        unit: &ast::DateTimeField,
        value: &ast::Expr,
        names: &Names<'_>,
    ) -> Refused<Expr> {
        let Some(Function { build, .. }) = function("EXTRACT") else {
            return Err(Refusal::on(sql, "EXTRACT is not supported"));
        };
        let arguments = vec![word(&unit.to_string()), self.expr(value, names)?];
        refused(sql, build(arguments, sql.to_string()))
    }

    /// The arguments of a function; a unit of time is one of its own, by its name.
    fn typed_arguments(
        &mut self,
        sql: &ast::Expr,
        name: &str,
        arguments: &[&ast::Expr],
        names: &Names<'_>,
    ) -> Refused<Vec<Expr>> {
        let mut typed = Vec::with_capacity(arguments.len() + 1);
        for (i, argument) in arguments.iter().enumerate() {
            match argument {
                ast::Expr::Interval(interval) if i == 1 && WITH_INTERVAL.contains(&name) => {
                    typed.push(self.expr(&interval.value, names)?);
                    typed.push(unit_of(interval));
                }
                ast::Expr::Identifier(unit) if i == 0 && WITH_UNIT.contains(&name) => {
                    typed.push(word(&unit.value));
                }
                _ if i == 1 && matches!(name, "DATE_ADD" | "DATE_SUB") => {
                    let message =
                        format!("{name} without INTERVAL: write {name}(…, INTERVAL 1 DAY)");
                    return Err(Refusal::on(sql, message));
                }
                _ if i == 0 && name == "IF" => typed.push(deciding(self.truth(argument, names)?)),
                _ => typed.push(self.expr(argument, names)?),
            }
        }
        Ok(typed)
    }
}

/// The name of an INTERVAL's unit, as functions take it.
pub(super) fn unit_of(interval: &ast::Interval) -> Expr {
    word(&interval.leading_field.as_ref().map(ToString::to_string).unwrap_or_default())
}

fn word(word: &str) -> Expr {
    let value = Value::Text(word.to_owned().into());
    Expr::new(ExprKind::Literal(value), Type::Text(Collation::CONNECTION), false)
}
