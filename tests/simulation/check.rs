//! Readers who look at the server after every change of it, and what they must see.
//!
//! The positions that stand there say which records are applied. From these records alone the rows
//! are worked out again, with no regard to how the pipeline does it, and from the rows the
//! documents:
//!
//! - a view that is complete and has no documents due holds exactly these;
//! - where documents are due, each is as it was at some moment since what is told as certain was
//!   applied;
//! - every document at any time shows whole transactions, and none goes back;
//! - positions do not go back, and what is told as applied is what they say; no view is told to
//!   contain less than before;
//! - nothing of a view is there before all its tables were complete once, and what is read of it
//!   is written only while they are;
//! - what is read stands still while another generation is filled, and no other is left over;
//! - whichever view answers for a name, what readers of the name find does not go back or away; in the
//!   end it is the view that the last command said.
//!
//! Where the server itself lost something, readers begin to compare anew.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use viewtide::keyspace::{Contained, Generation, Generations};

use super::bank::{
    ACCOUNTS_MV, Bank, Definition, Documents, READS, Schema, TABLES, VIEWS, version,
};
use super::history::{
    COMMANDS, HEARTBEATS, MARK_PARTITIONS, MARKS, NOTIFICATIONS, PARTITIONS, Said, TRANSACTIONS,
};
use super::log::{Topics, fingerprint, partition, server};
use super::store::{Contents, StoredView};

/// Documents by key.
type Bodies = BTreeMap<Vec<u8>, Vec<u8>>;

/// Looks at the server.
pub(super) struct Readers {
    model: Model,
    /// The field of each partition's position.
    fields: Vec<String>,
    server: String,
    /// Greatest version seen of each document, by view.
    seen: [BTreeMap<Vec<u8>, i64>; 2],
    /// What was read of each view, and of which generation.
    last: [Option<(u64, StoredView)>; 2],
    /// All tables of the view were complete once.
    admitted: [bool; 2],
    /// By which statements what is read of each view was made.
    definitions: [Definition; 2],
    /// What the documents must be where the model stands.
    wanted: [Option<Documents>; 2],
    /// While documents of a view are due: the last transaction applied at each moment since there
    /// was none, and the documents then.
    moments: [Vec<(u64, Bodies)>; 2],
    /// There were others before the first of these moments.
    is_cut: [bool; 2],
    /// The last transaction that each view was told to contain.
    told: [u64; 2],
    /// What readers of each name found: whether all documents are there, and the last transaction that
    /// they were told to contain.
    found: [(bool, u64); 2],
    /// The first thing found wrong.
    pub(super) wrong: Option<String>,
}

/// What some records say: of each partition as many as its position has.
struct Model {
    topics: Rc<RefCell<Topics>>,
    next: [usize; PARTITIONS],
    bank: Bank,
    /// Changes by table, transaction and number; a TRUNCATE has number 0.
    changes: BTreeSet<(usize, u64, u64)>,
    /// The transaction that made each row, by table and key.
    made: BTreeMap<(usize, i64), u64>,
    /// Of each table.
    attempts: [Attempt; TABLES],
    /// The latest snapshot attempt that anything tells of.
    newest: u32,
    /// The last transaction that has ended.
    applied: u64,
    /// The last transaction that the server had executed, as the heartbeats tell.
    executed: u64,
    /// The views that were to answer for each name, one after the other.
    switched: [Vec<usize>; 2],
}

/// The snapshot attempt that a table's rows are of; they have come further since.
#[derive(Clone, Copy, Default)]
struct Attempt {
    number: u32,
    /// The last transaction that it contains.
    gtid: u64,
    /// Its rows that are there, and those it has.
    rows: (u64, u64),
}

impl Readers {
    pub(super) fn new(topics: Rc<RefCell<Topics>>) -> Readers {
        let field = |at| {
            let partition = partition(at);
            format!("position:{}:{}", partition.topic, partition.number)
        };
        Readers {
            model: Model::new(topics),
            fields: (0..PARTITIONS).map(field).collect(),
            server: server().to_string(),
            seen: Default::default(),
            last: [None, None],
            admitted: [false; 2],
            definitions: Default::default(),
            wanted: [None, None],
            moments: Default::default(),
            is_cut: Default::default(),
            told: Default::default(),
            found: Default::default(),
            wrong: None,
        }
    }

    /// Looks at what there is now.
    pub(super) fn look(&mut self, contents: &Contents) {
        if self.wrong.is_none()
            && let Err(wrong) = self.check(contents)
        {
            self.wrong = Some(wrong);
        }
    }

    /// Looks at a server that lost something.
    pub(super) fn look_again(&mut self, contents: &Contents) {
        self.seen = Default::default();
        self.last = [None, None];
        self.restart();
        self.look(contents);
    }

    /// Whether everything there is has been published.
    pub(super) fn is_settled(&self, contents: &Contents) -> bool {
        let topics = self.model.topics.borrow();
        // What the server had executed waits for the transaction that says so, whose end may be lost;
        // rows of an attempt that nothing else is left of for what proves that.
        let is_at_end = |at: usize| match topics.said(at).get(self.model.next[at]) {
            Some(Said::Executed { gtid }) => *gtid > self.model.applied,
            Some(Said::Snapshot { attempt, .. }) => *attempt < self.model.attempts[at].number,
            next => next.is_none(),
        };
        (0..PARTITIONS).all(is_at_end)
            && !contents.meta.contains_key("backlog")
            && VIEWS
                .iter()
                .all(|view| is_written(&generations(contents, view)) && !is_behind(contents, view))
            && (0..VIEWS.len()).all(|name| {
                let wanted = self.model.switched[name].last().copied().unwrap_or(name);
                answering(contents, name) == wanted
            })
    }

    /// The rows as the positions have them.
    pub(super) fn bank(&self) -> &Bank {
        &self.model.bank
    }

    fn restart(&mut self) {
        self.model = Model::new(Rc::clone(&self.model.topics));
        self.wanted = [None, None];
        self.moments = Default::default();
        self.is_cut = [true; 2];
        self.told = [0; 2];
        self.found = Default::default();
    }

    fn check(&mut self, contents: &Contents) -> Result<(), String> {
        self.follow_positions(contents)?;
        for view in 0..VIEWS.len() {
            self.check_view(view, contents)?;
        }
        for name in 0..VIEWS.len() {
            self.check_name(name, contents)?;
        }
        if let Some(applied) = contents.meta.get("applied") {
            let wanted = match self.model.applied {
                0 => String::new(),
                last => format!("{}:1-{last}", self.server),
            };
            if *applied != wanted {
                return Err(format!("`{applied}` is told as applied instead of `{wanted}`"));
            }
        }
        if let Some(executed) = contents.meta.get("executed") {
            let last = last(executed);
            if last > self.model.executed || last > self.model.applied {
                return Err(format!("`{executed}` is told as executed"));
            }
        }
        Ok(())
    }

    fn follow_positions(&mut self, contents: &Contents) -> Result<(), String> {
        let mut moved = false;
        for at in 0..PARTITIONS {
            let Some(told) = contents.meta.get(&self.fields[at]) else { continue };
            let (next, found) = told.split_once(':').ok_or_else(|| told.clone())?;
            let next: usize = next.parse().map_err(|_| told.clone())?;
            let known = self.model.next[at];
            if next < known {
                return Err(format!("{} went back from {known} to {next}", self.fields[at]));
            }
            if next > 0 && u64::from_str_radix(found, 16) != Ok(fingerprint(at, next as i64 - 1)) {
                return Err(format!("{} has a fingerprint of another record", self.fields[at]));
            }
            moved |= next > known;
            self.model.advance(at, next);
        }
        if moved {
            self.wanted = [None, None];
        }
        Ok(())
    }

    /// What readers of a name find.
    fn check_name(&mut self, name: usize, contents: &Contents) -> Result<(), String> {
        let view = answering(contents, name);
        let (called, by) = (VIEWS[name], VIEWS[view]);
        if view != name && !self.model.switched[name].contains(&view) {
            return Err(format!("{by} answers for {called}, which nobody asked for"));
        }
        let is_there = generations(contents, by).current.is_some();
        let now = (is_there, if is_there { self.told[view] } else { 0 });
        let before = std::mem::replace(&mut self.found[name], now);
        if now < before {
            return Err(format!("{called} is answered by {by}: {now:?} after {before:?}"));
        }
        Ok(())
    }

    fn check_view(&mut self, view: usize, contents: &Contents) -> Result<(), String> {
        let name = VIEWS[view];
        let complete = READS[view].iter().all(|table| self.model.is_complete(*table));
        self.admitted[view] |= complete;
        let there = generations(contents, name);
        if is_written(&there) && !complete {
            return Err(format!("{name} is written before its tables are complete"));
        }
        for ((_, number), stored) in contents.views.iter().filter(|((of, _), _)| of == name) {
            if !there.all().any(|generation| generation.number == *number) {
                return Err(format!("generation {number} of {name} is left over"));
            }
            if !stored.documents.is_empty() && !self.admitted[view] {
                return Err(format!("{name} is published before its tables were complete"));
            }
        }
        let Some(read) = there.current.as_ref().or(there.next.as_ref()) else { return Ok(()) };
        let definition = definition(view, &read.fingerprint);
        if definition != self.definitions[view] {
            self.definitions[view] = definition;
            self.wanted[view] = None;
            self.moments[view].clear();
            self.is_cut[view] = true;
        }
        let nothing = StoredView::default();
        let place = (name.to_owned(), read.number);
        let stored = contents.views.get(&place).unwrap_or(&nothing);
        match &mut self.last[view] {
            Some((number, last)) if *number == read.number && last == stored => {}
            Some((number, _)) if *number == read.number && there.is_frozen() => {
                return Err(format!("{name} is written while another generation is filled"));
            }
            last => *last = Some((read.number, stored.clone())),
        }
        for (key, body) in &stored.documents {
            let version = version(view, body).map_err(|wrong| format!("{name}: {wrong}"))?;
            let seen = self.seen[view].entry(key.clone()).or_insert(version);
            if version < *seen {
                let body = String::from_utf8_lossy(body);
                return Err(format!("{name}: {body} was at {seen} before"));
            }
            *seen = version;
        }
        self.check_certain(view, contents, &stored.documents)?;
        if is_written(&there) && !is_behind(contents, name) {
            let bank = &self.model.bank;
            let wanted = self.wanted[view].get_or_insert_with(|| bank.documents(view, definition));
            if stored.documents != wanted.bodies {
                let (found, wanted) = (shown(&stored.documents), shown(&wanted.bodies));
                return Err(format!("{name} holds {found:#?} instead of {wanted:#?}"));
            }
            if view == ACCOUNTS_MV && !stored.index.iter().eq(&wanted.index) {
                return Err(format!("{name} has an index of other documents"));
            }
        }
        Ok(())
    }

    /// What a view is told to contain for certain while documents of it are due.
    fn check_certain(
        &mut self,
        view: usize,
        contents: &Contents,
        stored: &Bodies,
    ) -> Result<(), String> {
        let name = VIEWS[view];
        let certain = contents.meta.get(&format!("behind:{name}"));
        let certain = certain.map(|field| Contained::from_field(field));
        let is_current = generations(contents, name).current.is_some();
        let told = match &certain {
            Some(certain) => last(&certain.applied),
            None if is_current => self.model.applied,
            None => 0,
        };
        if told < self.told[view] {
            let before = self.told[view];
            return Err(format!("{name} is told to contain {told}, and {before} before"));
        }
        self.told[view] = told;
        if certain.as_ref().is_some_and(|certain| last(&certain.executed) > self.model.executed) {
            return Err(format!("{name} is told to contain {certain:?}, which is not executed"));
        }
        let moments = &mut self.moments[view];
        if is_current && certain.is_none() {
            moments.clear();
            self.is_cut[view] = false;
        }
        if certain.is_some() && moments.is_empty() {
            // Read for the first time, with documents due since before.
            return Ok(());
        }
        let (bank, definition) = (&self.model.bank, self.definitions[view]);
        let wanted = self.wanted[view].get_or_insert_with(|| bank.documents(view, definition));
        moments.push((self.model.applied, wanted.bodies.clone()));
        let certain = certain.filter(|certain| is_current && !certain.applied.is_empty());
        let Some(certain) = certain else { return Ok(()) };
        let last = last(&certain.applied);
        if last > self.model.applied {
            return Err(format!("{name} is told to contain {last}, which is not applied"));
        }
        if moments[0].0 > last || (moments[0].0 == last && self.is_cut[view]) {
            return Ok(());
        }
        let since = moments.iter().position(|(applied, _)| *applied >= last).unwrap_or(0);
        let wanted = |key| moments[since..].iter().map(move |(_, documents)| documents.get(key));
        let mut keys = stored.keys().chain(moments[since..].iter().flat_map(|(_, d)| d.keys()));
        match keys.find(|key| wanted(*key).all(|wanted| wanted != stored.get(*key))) {
            None => Ok(()),
            Some(key) => {
                let found = stored.get(key).map(|body| String::from_utf8_lossy(body));
                Err(format!("{name} is told to contain {last}, but {found:?} is older"))
            }
        }
    }
}

impl Model {
    fn new(topics: Rc<RefCell<Topics>>) -> Model {
        Model {
            topics,
            next: [0; PARTITIONS],
            bank: Bank::default(),
            changes: BTreeSet::new(),
            made: BTreeMap::new(),
            attempts: [Attempt::default(); TABLES],
            newest: 0,
            applied: 0,
            executed: 0,
            switched: Default::default(),
        }
    }

    /// Whether every row of the latest snapshot attempt is there.
    fn is_complete(&self, table: usize) -> bool {
        let Attempt { number, rows: (there, all), .. } = self.attempts[table];
        number > 0 && number == self.newest && there == all
    }

    fn advance(&mut self, at: usize, to: usize) {
        let topics = Rc::clone(&self.topics);
        let topics = topics.borrow();
        for said in topics.said(at).get(self.next[at]..to).unwrap_or_default() {
            self.apply(at, said);
        }
        self.next[at] = to;
    }

    fn apply(&mut self, at: usize, said: &Said) {
        match said {
            Said::Row { gtid, order, id, row, .. } => {
                if *gtid > self.attempts[at].gtid && self.changes.insert((at, *gtid, *order)) {
                    self.bank.set(at, *id, *row);
                    self.made.insert((at, *id), *gtid);
                }
            }
            Said::Snapshot { attempt, number, rows, row, gtid } => {
                self.newest = self.newest.max(*attempt);
                if self.attempts[at].number > *attempt {
                    return;
                }
                if self.attempts[at].number < *attempt {
                    self.bank.tables[at].clear();
                }
                self.attempts[at] =
                    Attempt { number: *attempt, gtid: *gtid, rows: (*number, *rows) };
                self.bank.set(at, row[0], Some(*row));
                self.made.insert((at, row[0]), *gtid);
            }
            Said::Truncate { gtid } => {
                if *gtid > self.attempts[at].gtid && self.changes.insert((at, *gtid, 0)) {
                    self.bank.tables[at].clear();
                }
            }
            Said::Mark { account, n } => {
                debug_assert!((MARKS..MARKS + MARK_PARTITIONS).contains(&at));
                self.bank.mark(*account, *n);
            }
            Said::End { gtid, .. } => {
                debug_assert_eq!(at, TRANSACTIONS);
                self.applied = self.applied.max(*gtid);
            }
            Said::Reading { attempt, .. } => self.newest = self.newest.max(*attempt),
            Said::Read { attempt, table, rows, gtid } => {
                debug_assert_eq!(at, NOTIFICATIONS);
                self.newest = self.newest.max(*attempt);
                if *rows == 0 && self.attempts[*table].number < *attempt {
                    let Model { bank, made, .. } = self;
                    bank.tables[*table].retain(|id, _| made[&(*table, *id)] > *gtid);
                    self.attempts[*table] = Attempt { number: *attempt, gtid: *gtid, rows: (0, 0) };
                }
            }
            Said::Executed { gtid } => {
                debug_assert_eq!(at, HEARTBEATS);
                self.executed = self.executed.max(gtid - 1);
            }
            Said::Switch { name, view } => {
                debug_assert_eq!(at, COMMANDS);
                self.switched[*name].push(*view);
            }
            Said::Nothing => {}
        }
    }
}

/// What there is of a view.
fn generations(contents: &Contents, view: &str) -> Generations {
    let read = |place: &str| {
        let text = contents.meta.get(&format!("{place}:{view}"))?;
        Some(Generation::from_field(text).expect(text))
    };
    Generations { current: read("view"), next: read("next") }
}

/// The view that answers for a name.
fn answering(contents: &Contents, name: usize) -> usize {
    let served = contents.meta.get(&format!("served:{}", VIEWS[name]));
    served.map_or(name, |view| VIEWS.iter().position(|of| of == view).expect(view))
}

/// By which statements a view with this fingerprint is made.
fn definition(view: usize, fingerprint: &str) -> Definition {
    let is_of = |of: &Definition| {
        let plan = &Schema::get(*of).plan;
        plan.views.iter().any(|of| of.name == VIEWS[view] && of.fingerprint == fingerprint)
    };
    [Definition::One, Definition::Other].into_iter().find(is_of).expect(fingerprint)
}

/// Whether what is read of a view follows the tables.
fn is_written(generations: &Generations) -> bool {
    generations.current.is_some() && generations.next.is_none()
}

/// The last transaction of a set; 0 if there is none.
fn last(set: &str) -> u64 {
    set.rsplit_once('-').map_or(0, |(_, last)| last.parse().unwrap_or(0))
}

fn is_behind(contents: &Contents, view: &str) -> bool {
    contents.meta.contains_key(&format!("behind:{view}"))
}

fn shown(documents: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<String> {
    documents.values().map(|body| String::from_utf8_lossy(body).into_owned()).collect()
}
