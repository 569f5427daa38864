//! A case through the whole stack: half of its statements are in MySQL before the connector looks
//! (the snapshot), the other half follow (the binlog); then `viewtide verify` asks MySQL.

use std::fs;
use std::path::PathBuf;
use std::thread;

use mysql_async::prelude::Queryable;

use super::case::{Case, View};
use super::support::deployment::Deployment;
use super::support::stack::repository;

/// Runs a case.
///
/// # Errors
/// What `verify` printed, or what went wrong on the way.
pub(crate) fn run(case: &Case) -> Result<(), String> {
    let case = case.clone();
    let attempt = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(through(&case))
    });
    attempt.join().unwrap_or_else(|_| Err("the stack failed, see above".to_owned()))
}

async fn through(case: &Case) -> Result<(), String> {
    let folder = definitions(case);
    let mut deployment = Deployment::new("judge", &folder, None).await;
    let half = case.statements.len() / 2;
    execute(&deployment, case, 0..half).await;
    deployment.capture();
    deployment.start();
    deployment.eventually("/readyz", |status, _| status == 200).await;
    execute(&deployment, case, half..case.statements.len()).await;
    let output = deployment.verify();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(()).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        format!("seed {} through the stack, {}:\n{printed}{errors}", case.seed, deployment.name)
    })
}

/// The case's tables and views as files.
fn definitions(case: &Case) -> PathBuf {
    let folder = repository().join("target/judge").join(case.seed.to_string());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("views")).unwrap();
    let tables: Vec<String> = case.tables.iter().map(|table| format!("{table};\n")).collect();
    fs::write(folder.join("schema.sql"), tables.concat()).unwrap();
    for View { name, select } in &case.views {
        let view = format!("CREATE VIEW {name} AS\n{select};\n");
        fs::write(folder.join(format!("views/{name}.sql")), view).unwrap();
    }
    folder
}

async fn execute(deployment: &Deployment, case: &Case, which: std::ops::Range<usize>) {
    let mut connection = deployment.mysql().await;
    for statement in &case.statements[which] {
        let Some(sql) = statement.sql(&case.tables) else { continue };
        match connection.query_drop(&sql).await {
            // A key that is taken, a NULL where none may be.
            Ok(()) | Err(mysql_async::Error::Server(_)) => {}
            Err(error) => panic!("{sql}: {error}"),
        }
    }
    connection.disconnect().await.unwrap();
}
