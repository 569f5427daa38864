//! Has tables read anew that the pipeline cannot complete otherwise: since records of them are gone,
//! since nobody can tell older rows from newer ones, since a statement changed rows and nothing tells
//! which, or since a snapshot that read them broke off. Nobody has to ask for it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::{How, resnapshot};
use crate::config::Config;
use crate::source::Wanting;
use crate::source::anew::AnewId;
use crate::sql::plan::Plan;

/// How long one snapshot may take before another is asked for.
const PATIENCE: Duration = Duration::from_secs(600);
/// Wait after the first that failed, doubled with each up to [`PATIENCE`]: every one begins anew.
const AGAIN: Duration = Duration::from_secs(15);
/// How long a snapshot that somebody asked for may bring nothing before it is held to be broken off.
const GRACE: Duration = Duration::from_secs(120);

/// Which captured tables, by name, are complete only once they are read anew.
type Wanted = BTreeMap<String, Wanting>;

/// Has tables read anew for as long as some are wanted, until nobody tells any more.
pub async fn read_wanted(
    config: Arc<Config>,
    plan: Arc<Plan>,
    mut wanted: watch::Receiver<Wanted>,
) {
    let (mut wait, mut asked) = (AGAIN, false);
    while let Some((tables, after)) = due(&mut wanted, asked).await {
        asked = true;
        warn!(?tables, "these tables are complete only once they are read anew: asking for it");
        // What is shown to an operator names keys: not for logs.
        let (how, quiet) = (How::Anew { after }, &mut io::sink());
        match resnapshot(&config, &plan, &tables, how, PATIENCE, quiet).await {
            // Whatever Debezium told of it.
            _ if wanted.borrow().is_empty() => {
                info!(?tables, "they are read");
                (wait, asked) = (AGAIN, false);
                continue;
            }
            Ok(true) => warn!(?tables, "they are read, but more is wanted"),
            Ok(false) => warn!(?tables, "they were not read to their ends; once more"),
            Err(error) => warn!(?tables, %error, "they cannot be read anew yet"),
        }
        sleep(wait).await;
        wait = (wait * 2).min(PATIENCE);
    }
}

/// Waits until a snapshot has to be asked for: of which tables, and greater than which its number
/// has to be. Where one was `asked` for or runs, it is left alone while it brings something: the next
/// would cut it short. `None` when nobody tells any more.
async fn due(wanted: &mut watch::Receiver<Wanted>, asked: bool) -> Option<(Vec<String>, AnewId)> {
    loop {
        let now = wanted.wait_for(|tables| !tables.is_empty()).await.ok()?.clone();
        let after = |why: &Wanting| match why {
            Wanting::After(number) => Some(*number),
            Wanting::Reading { .. } => None,
        };
        let may_run = asked || now.values().any(|why| after(why).is_none());
        if may_run && let Ok(told) = timeout(GRACE, wanted.changed()).await {
            told.ok()?;
            continue;
        }
        let latest = now.values().filter_map(after).max();
        return Some((now.into_keys().collect(), latest.unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_goes_on_is_left_alone() {
        let told = |wanted: &[(&str, Wanting)]| -> Wanted {
            wanted.iter().map(|(table, why)| ((*table).to_owned(), *why)).collect()
        };
        let reading = |rows| told(&[("a", Wanting::Reading { rows })]);
        let (sender, mut wanted) = watch::channel(reading(0));
        let began = tokio::time::Instant::now();
        let rises = async {
            for rows in 1..=5 {
                sleep(GRACE / 2).await;
                sender.send(reading(rows)).unwrap();
            }
        };
        let (asked, ()) = tokio::join!(due(&mut wanted, false), rises);
        assert_eq!(asked, Some((vec!["a".to_owned()], 0)));
        assert_eq!(began.elapsed().as_secs(), (GRACE / 2 * 5 + GRACE).as_secs());
        let both = vec!["a".to_owned(), "b".to_owned()];
        for (b, asked, waits) in [
            (Wanting::After(9), false, Duration::ZERO),
            (Wanting::After(9), true, GRACE),
            (Wanting::Reading { rows: 1 }, false, GRACE),
        ] {
            sender.send(told(&[("a", Wanting::After(7)), ("b", b)])).unwrap();
            let began = tokio::time::Instant::now();
            let (tables, after) = due(&mut wanted, asked).await.unwrap();
            assert_eq!((tables, after > 8), (both.clone(), b == Wanting::After(9)));
            assert_eq!(began.elapsed().as_secs(), waits.as_secs());
        }
        sender.send(Wanted::new()).unwrap();
        drop(sender);
        assert_eq!(due(&mut wanted, true).await, None);
    }
}
