//! Reads Kafka on a thread of its own.
//!
//! The thread polls one consumer with all partitions assigned by hand, decodes what it gets, and
//! hands batches over a bounded channel. It commits nothing: positions live in Redis. A batch is
//! handed over as soon as there is nothing more to poll, so a lone change does not wait.
//!
//! What passes by itself is waited out here, told in readiness: a broker that is away, a topic
//! that is not there yet, a registry that does not answer.

mod incoming;
mod lag;
mod patience;
mod poll;
mod range;
#[cfg(test)]
mod tests;
mod topics;
mod trouble;
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc as commands;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::record::{PartitionId, PartitionSpec, Record};
use super::transactions::Flow;
use super::{Former, Log, Records, Settings, SourceError};
use crate::sql::plan::Plan;
use crate::telemetry::{Metrics, Readiness};
pub(crate) use incoming::fingerprint_of;
use lag::Lag;
use poll::Thread;
pub(crate) use range::{range_reader, read_range};
pub(crate) use topics::end_of as readable_end;

/// Batches that wait to be taken; then the thread waits.
const BATCHES_WAITING_MAX: usize = 8;

/// The topics of a plan, to be read with these settings.
#[derive(Clone, Debug)]
pub struct Kafka {
    settings: Settings,
    plan: Arc<Plan>,
    metrics: Arc<Metrics>,
    readiness: Readiness,
}

/// The near end of the reading thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct Reader {
    batches: mpsc::Receiver<Result<Vec<Record>, SourceError>>,
    flow: commands::Sender<(PartitionId, Flow)>,
    lag: Arc<Lag>,
    _stop: StopOnDrop,
}

#[derive(Debug)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Kafka {
    /// Nothing is connected yet.
    pub fn new(
        settings: Settings,
        plan: Arc<Plan>,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> Kafka {
        Kafka { settings, plan, metrics, readiness }
    }
}

impl Reader {
    /// Starts reading every partition of a plan behind what `former` runs' state holds, and tells
    /// what they are. Waits until the broker answers.
    ///
    /// # Errors
    /// A topic that is not as it has to be, or a client that cannot be made.
    pub async fn start(
        settings: Settings,
        plan: Arc<Plan>,
        former: Former,
        metrics: Arc<Metrics>,
        readiness: Readiness,
    ) -> Result<(Reader, Vec<PartitionSpec>), SourceError> {
        let (batch_sender, batches) = mpsc::channel(BATCHES_WAITING_MAX);
        let (flow, flow_receiver) = commands::channel();
        let (started, starting) = oneshot::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let guard = StopOnDrop(Arc::clone(&stop));
        let runtime = tokio::runtime::Handle::current();
        thread::Builder::new()
            .name("kafka".to_owned())
            .spawn(move || {
                let thread =
                    Thread::start(settings, plan, &former, metrics, readiness, stop, runtime);
                match thread {
                    Ok(Some((thread, specs, lag))) => {
                        if started.send(Ok((specs, lag))).is_ok() {
                            thread.run(&batch_sender, &flow_receiver);
                        }
                    }
                    // Nobody listens any more.
                    Ok(None) => {}
                    Err(error) => drop(started.send(Err(error))),
                }
            })
            .map_err(|error| SourceError::Kafka(format!("no thread for reading: {error}")))?;
        let (specs, lag) = starting.await.map_err(|_| SourceError::Ended)??;
        Ok((Reader { batches, flow, lag, _stop: guard }, specs))
    }
}

impl Log for Kafka {
    type Records = Reader;

    fn replan(&mut self, plan: Arc<Plan>) {
        self.plan = plan;
    }

    async fn read(&self, former: Former) -> Result<(Reader, Vec<PartitionSpec>), SourceError> {
        let Kafka { settings, plan, metrics, readiness } = self.clone();
        Reader::start(settings, plan, former, metrics, readiness).await
    }
}

impl Records for Reader {
    async fn next(&mut self) -> Result<Vec<Record>, SourceError> {
        self.batches.recv().await.unwrap_or(Err(SourceError::Ended))
    }

    fn try_next(&mut self) -> Result<Option<Vec<Record>>, SourceError> {
        match self.batches.try_recv() {
            Ok(batch) => batch.map(Some),
            Err(mpsc::error::TryRecvError::Empty) => Ok(None),
            Err(mpsc::error::TryRecvError::Disconnected) => Err(SourceError::Ended),
        }
    }

    fn set_flow(&mut self, partition: PartitionId, flow: Flow) {
        // A thread that has ended says so in the next batch.
        let _ = self.flow.send((partition, flow));
    }

    fn note_applied(&self, partition: PartitionId, next_offset: i64) {
        self.lag.take_position(partition, next_offset);
    }
}
