//! Connections to MySQL, for what asks it beside the pipeline.

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, Error, OptsBuilder};

use crate::config::Mysql;

/// What to do where there is no connection.
pub(crate) const UNREACHABLE: &str =
    "start it, or correct host, port, user, password and database of [mysql]";

/// A connection to the database of the configuration, over TCP, texts in `utf8mb4`, constants of the
/// collation that the planner takes them for.
pub(crate) async fn connect(mysql: &Mysql) -> Result<Conn, Error> {
    let options = OptsBuilder::default()
        .ip_or_hostname(mysql.host.clone())
        .tcp_port(mysql.port)
        .user(Some(mysql.user.clone()))
        .pass(Some(mysql.password.expose().to_owned()))
        .db_name(Some(mysql.database.clone()))
        .prefer_socket(false);
    let mut connection = Conn::new(options).await?;
    connection.query_drop("SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci").await?;
    Ok(connection)
}

/// A name in MySQL's quotes.
pub(crate) fn quoted_name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
