//! From a case that fails to a small one that fails.

use viewtide::engine::LOOKED_THROUGH_MAX;

use super::case::{Case, Way};
use super::mutants::Mutant;
use super::run::{Failure, run};
use super::support::mysql::Server;
use super::tree::Tree;

/// Cases run at most to make one smaller.
const TRIES_MAX: usize = 400;

/// Makes a failing case smaller, step by step, as far as can be found out soon.
pub(crate) struct Shrinker<'s> {
    server: &'s mut Server,
    mutant: Option<Mutant>,
    tries: usize,
    case: Case,
    failure: Failure,
}

/// The smallest case found, why it fails, and its changes as lines of a scenario.
pub(crate) async fn shrunk(
    case: &Case,
    failure: Failure,
    mutant: Option<Mutant>,
    server: &mut Server,
) -> (Case, Failure, Vec<String>) {
    let case = case.clone();
    let mut shrinker = Shrinker { server, mutant, tries: TRIES_MAX, case, failure };
    shrinker.statements_behind().await;
    shrinker.views().await;
    shrinker.statements().await;
    shrinker.select().await;
    shrinker.tables().await;
    shrinker.statements().await;
    shrinker.way().await;
    let mut changes = Vec::new();
    let Shrinker { server, mutant, case, mut failure, .. } = shrinker;
    if let Err(last) = run(&case, server, mutant, &mut changes).await {
        failure = last;
    }
    (case, failure, changes)
}

impl Shrinker<'_> {
    /// Takes a smaller case if it fails, too.
    async fn take(&mut self, smaller: Case) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.tries -= 1;
        match run(&smaller, self.server, self.mutant, &mut Vec::new()).await {
            Err(failure) if failure.kind == self.failure.kind => {
                (self.case, self.failure) = (smaller, failure);
                true
            }
            _ => false,
        }
    }

    async fn statements_behind(&mut self) {
        let mut smaller = self.case.clone();
        smaller.statements.truncate(self.failure.statements);
        self.take(smaller).await;
    }

    /// The view that differs alone; where others are a part of it, or none is known, as few as fail.
    async fn views(&mut self) {
        if let Some(at) = self.failure.view {
            let views = vec![self.case.views[at].clone()];
            if self.take(Case { views, ..self.case.clone() }).await {
                return;
            }
        }
        for at in (0..self.case.views.len()).rev() {
            if self.case.views.len() > 1 {
                let mut smaller = self.case.clone();
                smaller.views.remove(at);
                self.take(smaller).await;
            }
        }
    }

    async fn statements(&mut self) {
        let mut size = self.case.statements.len();
        while size > 0 {
            let mut from = 0;
            while from < self.case.statements.len() && self.tries > 0 {
                let mut smaller = self.case.clone();
                let to = (from + size).min(smaller.statements.len());
                smaller.statements.drain(from..to);
                if !self.take(smaller).await {
                    from += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    /// Drops outputs, joins, conditions, and parts of expressions.
    async fn select(&mut self) {
        // Some of the tries are for what comes behind.
        let kept = TRIES_MAX / 5;
        for at in 0..self.case.views.len() {
            while self.tries > kept && self.smaller_select(at, kept).await {}
        }
    }

    async fn smaller_select(&mut self, at: usize, kept: usize) -> bool {
        let candidates: Vec<Tree> = self.case.views[at].select.smaller();
        for candidate in candidates {
            if self.tries <= kept {
                return false;
            }
            let mut smaller = self.case.clone();
            smaller.views[at].select = candidate;
            if self.take(smaller).await {
                return true;
            }
        }
        false
    }

    /// Drops columns, and tables that no SELECT names any more.
    async fn tables(&mut self) {
        let text: Vec<String> =
            self.case.views.iter().map(|view| view.select.to_string()).collect();
        let text = text.join(" ");
        for table in (0..self.case.tables.len()).rev() {
            if !text.contains(&format!(" {} AS ", self.case.tables[table].name)) {
                let mut smaller = self.case.clone();
                smaller.tables.remove(table);
                smaller.statements.retain(|statement| statement.table != table);
                for statement in &mut smaller.statements {
                    statement.table -= usize::from(statement.table > table);
                }
                self.take(smaller).await;
            }
        }
        for table in 0..self.case.tables.len() {
            for column in (self.case.tables[table].key..self.case.tables[table].columns.len()).rev()
            {
                let mut smaller = self.case.clone();
                let dropped = smaller.tables[table].columns.remove(column);
                if smaller.tables[table].unique.contains(&dropped.name) {
                    smaller.tables[table].unique.clear();
                }
                self.take(smaller).await;
            }
        }
    }

    /// The plainest way in which it still fails.
    async fn way(&mut self) {
        let plain: [fn(&mut Way); 5] = [
            |way| way.batches = vec![1],
            |way| way.compared = 1,
            |way| way.live_from = 0,
            |way| way.fan_out_max = 1000,
            |way| way.looked_through_max = LOOKED_THROUGH_MAX,
        ];
        for plain in plain {
            let mut smaller = self.case.clone();
            plain(&mut smaller.way);
            self.take(smaller).await;
        }
    }
}
