//! Function calls.

use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::aggregates::AGGREGATES;
use super::build::refused;
use super::error::{Refusal, Refused, did_you_mean};
use super::expr::Expr;
use super::functions::{Function, function, function_names};
use super::names::Names;
use super::tree::Planner;

/// Functions whose value changes without any row changing.
const VOLATILE: [&str; 29] = [
    "BENCHMARK",
    "CONNECTION_ID",
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_ROLE",
    "CURRENT_TIME",
    "CURRENT_TIMESTAMP",
    "CURRENT_USER",
    "CURTIME",
    "DATABASE",
    "FOUND_ROWS",
    "GET_LOCK",
    "LAST_INSERT_ID",
    "LOCALTIME",
    "LOCALTIMESTAMP",
    "NOW",
    "RAND",
    "RANDOM_BYTES",
    "ROW_COUNT",
    "SCHEMA",
    "SESSION_USER",
    "SLEEP",
    "SYSDATE",
    "SYSTEM_USER",
    "USER",
    "UTC_DATE",
    "UTC_TIME",
    "UTC_TIMESTAMP",
    "UUID",
];

/// Aggregates that MySQL has and views cannot use.
const OTHER_AGGREGATES: [&str; 13] = [
    "ANY_VALUE",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "JSON_OBJECTAGG",
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
        if VOLATILE.contains(&name.as_str()) {
            let message = format!(
                "{name}() changes without any row changing, so a document could not stay true: compare instants where the document is read"
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
        let arguments = arguments
            .iter()
            .map(|argument| self.expr(argument, names))
            .collect::<Refused<Vec<_>>>()?;
        let built = build(arguments, sql.to_string());
        refused(sql, built)
    }
}
