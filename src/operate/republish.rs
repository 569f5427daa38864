//! Has documents written again as the pipeline's state has them.

use std::time::Duration;

use super::commands::Commands;
use super::{OperateError, Progress};
use crate::config::Config;
use crate::source::command::Order;
use crate::sql::plan::Plan;

/// Tells the pipeline to write documents of a view again, by their keys' texts; whether it has begun
/// to within `patience`. What does not fit its step is backlog then.
///
/// # Errors
/// Kafka or Redis that cannot be asked.
pub(crate) async fn republish(
    config: &Config,
    plan: &Plan,
    view: &str,
    keys: Vec<Vec<String>>,
    patience: Duration,
) -> Result<bool, OperateError> {
    let mut progress = Progress::new(config, plan)?;
    let mut commands = Commands::open(config).await?;
    let mut portions = vec![keys];
    while let Some(mut keys) = portions.pop() {
        let order = Order::Republish { view: view.to_owned(), keys };
        if commands.write(&order).await? {
            continue;
        }
        let Order::Republish { keys: all, .. } = order else { continue };
        keys = all;
        if keys.len() < 2 {
            let topic = config.kafka.command_topic.clone();
            let problem = "takes no record that is as large as one key of a document".to_owned();
            return Err(OperateError::Topic { topic, problem });
        }
        let half = keys.split_off(keys.len() / 2);
        portions.extend([keys, half]);
    }
    Ok(commands.obeyed(&mut progress, patience).await?.is_some())
}
