//! `viewtide switch`: which view answers for a name, and having another one answer.

use std::io::Write;
use std::time::Duration;

use super::commands::Commands;
use super::{ANSWER_WAIT, OperateError, Progress};
use crate::config::Config;
use crate::dial::Dialer;
use crate::keyspace::{Generation, Generations, Keyspace};
use crate::sink::Meta;
use crate::source::command::Order;
use crate::sql::plan::{Plan, View};
use crate::sql::{can_answer, go_on_answering};

/// Lists all views, how each stands, and what readers of its name get.
///
/// # Errors
/// Redis that cannot be asked.
pub async fn answering(
    config: &Config,
    plan: &Plan,
    out: &mut impl Write,
) -> Result<(), OperateError> {
    let meta = Progress::new(config, plan)?.meta().await?;
    let mut cells = vec![["VIEW", "STATE", "ITS NAME IS ANSWERED BY"].map(str::to_owned)];
    for view in &plan.views {
        let state = match unfilled(config, view, &meta).await? {
            None => "complete".to_owned(),
            Some(progress) => progress,
        };
        cells.push([view.name.clone(), state, answers(&meta, &view.name).to_owned()]);
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max();
    let [name, state] = [0, 1].map(|column| width(column).unwrap_or(0));
    for row in &cells {
        writeln!(out, "{:name$}  {:state$}  {}", row[0], row[1], row[2])?;
    }
    if let Err(lost) = go_on_answering(plan, &meta.served) {
        writeln!(out, "{lost}")?;
    }
    Ok(out.flush()?)
}

/// Has readers of `name` get the documents of `view` from one moment on, in all processes; whether
/// that was so within `patience`.
///
/// # Errors
/// A view that is not there, has other keys or is not filled; Kafka or Redis that cannot be asked.
pub async fn switch(
    config: &Config,
    plan: &Plan,
    name: &str,
    view: &str,
    patience: Duration,
    out: &mut impl Write,
) -> Result<bool, OperateError> {
    can_answer(plan, name, view)?;
    let mut progress = Progress::new(config, plan)?;
    let before = progress.meta().await?;
    let find = |name: &str| plan.views.iter().find(|view| view.name == name);
    if let Some(of) = find(view)
        && let Some(progress) = unfilled(config, of, &before).await?
    {
        let (name, view) = (name.to_owned(), view.to_owned());
        return Err(OperateError::NotFilled { name, view, progress });
    }
    let mut commands = Commands::open(config).await?;
    let order = Order::Switch { name: name.to_owned(), view: view.to_owned() };
    if !commands.write(&order).await? {
        let topic = config.kafka.command_topic.clone();
        let problem = "takes no record that is as large as two names".to_owned();
        return Err(OperateError::Topic { topic, problem });
    }
    let is_done = |meta: &Meta| commands.is_obeyed(meta) && answers(meta, name) == view;
    if progress.wait_for(patience, is_done).await?.is_none() {
        let (pipeline, seconds) = (&config.pipeline.name, patience.as_secs());
        let why = match commands.is_obeyed(&progress.meta().await?) {
            true => {
                "the pipeline waits until readers lose nothing by it, and /readyz says for what; if it says \
                 nothing, more names were switched than are remembered: change the view in its own file"
            }
            false => "it will when it runs and has read that far",
        };
        writeln!(out, "written, but pipeline {pipeline} has not obeyed within {seconds} s; {why}")?;
        return Ok(false);
    }
    writeln!(out, "readers of {name} get the documents of view {view} from here on")?;
    let former = find(answers(&before, name));
    if let Some((former, now)) = former.zip(find(view)) {
        for columns in lost_lookups(former, now) {
            writeln!(
                out,
                "look-ups of {name} by {columns} are refused from here on: {view} has no such index"
            )?;
        }
    }
    Ok(true)
}

/// Whether every view that answers for a name by now can go on to by another plan; looks only where
/// that could be otherwise.
///
/// # Errors
/// One that could not; Redis that cannot be asked.
pub async fn may_follow(config: &Config, former: &Plan, plan: &Plan) -> Result<(), OperateError> {
    let is_kept = |view: &View| {
        let mut views = plan.views.iter();
        views.any(|of| of.name == view.name && of.key_types() == view.key_types())
    };
    if former.views.iter().all(is_kept) {
        return Ok(());
    }
    let meta = Progress::new(config, former)?.meta().await?;
    Ok(go_on_answering(plan, &meta.served)?)
}

/// The view that answers for a name.
fn answers<'m>(meta: &'m Meta, name: &'m str) -> &'m str {
    meta.served.get(name).map_or(name, String::as_str)
}

/// How far a view has come that is not filled as it is defined.
async fn unfilled(
    config: &Config,
    view: &View,
    meta: &Meta,
) -> Result<Option<String>, OperateError> {
    let held = meta.views.get(&view.name).cloned().unwrap_or_default();
    Ok(Some(match &held {
        Generations { current: None, next: None } => {
            "nothing of it is there; SIGHUP to the pipeline, or its start, fills it".to_owned()
        }
        Generations { current: Some(current), next: None } => {
            if current.fingerprint == view.fingerprint {
                return Ok(None);
            }
            "its documents are of another definition; SIGHUP to the pipeline fills it anew"
                .to_owned()
        }
        Generations { current: None, next: Some(next) } => {
            let count = count(config, view, next).await?;
            format!("it is being filled, {count} documents so far")
        }
        Generations { current: Some(current), next: Some(next) } => {
            let (before, now) =
                (count(config, view, current).await?, count(config, view, next).await?);
            format!("it is being filled anew, {now} documents so far ({before} before)")
        }
    }))
}

/// Documents of a generation.
async fn count(config: &Config, view: &View, generation: &Generation) -> Result<u64, OperateError> {
    let failed = |error: &dyn std::error::Error| OperateError::Redis(error.to_string());
    let dialer = Dialer::new(config.redis.url.expose())?;
    let mut connection = dialer.connect(ANSWER_WAIT).await.map_err(|error| failed(&error))?;
    let keys = Keyspace::new(&config.pipeline.name).view(&view.name, generation.number).keys;
    let count = redis::cmd("ZCARD").arg(keys).query_async(&mut connection).await;
    count.map_err(|error| failed(&error))
}

/// The columns that readers could look up by in one view, and cannot in another.
fn lost_lookups(former: &View, now: &View) -> Vec<String> {
    let columns = |view: &View| -> Vec<Vec<String>> {
        let names = |columns: &[usize]| {
            columns.iter().map(|&at| view.outputs[at].name.clone()).collect::<Vec<_>>()
        };
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        view.indexes.iter().map(|index| sorted(names(&index.columns))).collect()
    };
    let there = columns(now);
    let lost = columns(former).into_iter().filter(|columns| !there.contains(columns));
    lost.map(|columns| columns.join(" and ")).collect()
}
