//! One captured database with its connector and one viewtide on it, apart from all others that
//! share the services.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::http;
use super::stack::{Stack, repository};

/// How long anything is waited for; generous, because machines are shared.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A database, its connector, and configuration for viewtide on it.
pub(crate) struct Deployment {
    /// Name of database, topic prefix, connector and pipeline alike.
    pub(crate) name: String,
    folder: PathBuf,
    redis_url: String,
    api_port: u16,
    /// Further variables.
    settings: Vec<(&'static str, String)>,
    viewtide: Option<Child>,
    /// The deployment of which this is a further process.
    is_twin: bool,
}

impl Deployment {
    /// Makes a database with these tables, registers a connector for it, and writes the
    /// configuration. `definitions` holds `schema.sql`, `streams/` and `views/`.
    pub(crate) async fn new(
        purpose: &str,
        definitions: &Path,
        redis_url: Option<&str>,
    ) -> Deployment {
        let stack = Stack::shared();
        let name = unique_name(purpose);
        let folder = repository().join("target/test-deployments").join(&name);
        copy_folder(definitions, &folder.join("sql"));
        rename_event_topics(&folder.join("sql/streams"), &name);
        let shared_redis = || format!("redis://127.0.0.1:{}", stack.port("REDIS_PORT"));
        let deployment = Deployment {
            folder,
            redis_url: redis_url.map_or_else(shared_redis, str::to_owned),
            api_port: free_port(),
            settings: Vec::new(),
            viewtide: None,
            is_twin: false,
            name,
        };
        deployment.make_database().await;
        deployment
    }

    /// A further process of the same pipeline, on a machine of its own: with its own state folder.
    pub(crate) fn twin(&self) -> Deployment {
        let mut settings = self.settings.clone();
        settings.push(("VIEWTIDE_STATE_DIR", ".local/twin".to_owned()));
        Deployment {
            name: self.name.clone(),
            folder: self.folder.clone(),
            redis_url: self.redis_url.clone(),
            api_port: free_port(),
            settings,
            viewtide: None,
            is_twin: true,
        }
    }

    /// Sends a signal, as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.viewtide.as_ref().expect("viewtide runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Registers the connector: from here on changes are captured, those so far by its snapshot.
    pub(crate) fn capture(&self) {
        self.capture_with(&[]);
    }

    /// The same with further `key=value` of the connector.
    pub(crate) fn capture_with(&self, settings: &[&str]) {
        let own = [
            format!("name={}", self.name),
            format!("topic.prefix={}", self.name),
            format!("database.include.list={}", self.name),
            format!("database.server.id={}", 200_000 + fastrand(1_000_000)),
        ];
        let mut arguments = vec!["apply", "connectors/orders-connector.json"];
        arguments.extend(own.iter().map(String::as_str));
        arguments.extend(settings);
        Stack::shared().run("infra/connector.sh", &arguments);
    }

    /// Starts the connector and its task anew.
    pub(crate) async fn restart_connector(&self) {
        let (connect, name) = (Stack::shared().port("CONNECT_PORT"), &self.name);
        let url = format!("http://127.0.0.1:{connect}/connectors/{name}/restart?includeTasks=true");
        let answer = reqwest::Client::new().post(url).send().await.unwrap();
        assert!(answer.status().is_success(), "restart of {name}: {}", answer.status());
    }

    /// The topic that takes this deployment's place of `order_updates`.
    pub(crate) fn event_topic(&self) -> String {
        format!("{}.order_updates", self.name)
    }

    /// The topic of its commands.
    pub(crate) fn command_topic(&self) -> String {
        format!("{}.commands", self.name)
    }

    /// The topic of a captured table.
    pub(crate) fn table_topic(&self, table: &str) -> String {
        format!("{0}.{0}.{table}", self.name)
    }

    /// The database, as programs take it.
    pub(crate) fn mysql_url(&self) -> String {
        let port = Stack::shared().port("MYSQL_PORT");
        format!("mysql://root:debezium@127.0.0.1:{port}/{}", self.name)
    }

    /// A connection as root, in this deployment's database, in UTC.
    pub(crate) async fn mysql(&self) -> Conn {
        connect(&self.name).await
    }

    /// Adds a user, and so many orders of theirs, numbered from 1.
    pub(crate) async fn add_orders(&self, count: usize) {
        let orders: Vec<_> = (1..=count).map(|order| format!("({order}, 1, 1)")).collect();
        self.execute(&format!(
            "INSERT INTO users (user_id, name, email) VALUES (1, 'Ada', 'ada@example.org');
             INSERT INTO orders (order_id, user_id, total) VALUES {};\n",
            orders.join(", ")
        ))
        .await;
    }

    /// Raises the totals of so many orders until told to stop; how often.
    pub(crate) async fn raise_totals(
        &self,
        orders: usize,
        stop: Arc<AtomicBool>,
    ) -> JoinHandle<u64> {
        let mut mysql = self.mysql().await;
        tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                number += 1;
                let id = 1 + number * 13 % orders as u64;
                let raise = format!("UPDATE orders SET total = total + 1 WHERE order_id = {id}");
                mysql.query_drop(raise).await.unwrap();
            }
            number
        })
    }

    /// Runs one statement per `;`-ended line.
    pub(crate) async fn execute(&self, statements: &str) {
        let mut connection = self.mysql().await;
        for statement in statements.split(";\n").map(str::trim).filter(|s| !s.is_empty()) {
            connection.query_drop(statement).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
        }
        connection.disconnect().await.unwrap();
    }

    /// Sets a variable of the environment for viewtide from its next start on.
    pub(crate) fn set(&mut self, variable: &'static str, value: impl Into<String>) {
        self.settings.push((variable, value.into()));
    }

    /// Has viewtide watch the connector from its next start on.
    pub(crate) fn supervise(&mut self) {
        let url = format!("http://127.0.0.1:{}", Stack::shared().port("CONNECT_PORT"));
        self.set("VIEWTIDE_CONNECT_URL", url);
        self.set("VIEWTIDE_CONNECT_CONNECTOR", self.name.clone());
    }

    /// Replaces a text in one of the definitions, as `schema.sql`.
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder.join("sql").join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in {}", path.display());
        fs::write(&path, text.replace(from, to)).unwrap();
    }

    /// Where its checkpoints are.
    pub(crate) fn state_folder(&self) -> PathBuf {
        self.folder.join(".local/state").join(&self.name)
    }

    /// Starts `viewtide run`; its output goes to a file named in failures.
    pub(crate) fn start(&mut self) {
        self.start_by(&[]);
    }

    /// The same by a program with arguments that becomes viewtide, as `["nice"]`.
    pub(crate) fn start_by(&mut self, launcher: &[&str]) {
        let runs = self.viewtide.as_mut().is_some_and(|child| child.try_wait().unwrap().is_none());
        assert!(!runs, "viewtide runs already");
        let log = File::options().create(true).append(true).open(self.log()).unwrap();
        let mut command = self.command(&["run"]);
        if let [program, arguments @ ..] = launcher {
            let mut launched = Command::new(program);
            launched.args(arguments).arg(command.get_program()).args(command.get_args());
            launched.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            launched.stdin(Stdio::null());
            command = launched;
        }
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.viewtide = Some(command.spawn().unwrap());
    }

    /// Replaces the file of a view from the next start on, or removes it.
    pub(crate) fn redefine(&self, view: &str, statements: Option<&str>) {
        let path = self.folder.join(format!("sql/views/{view}.sql"));
        match statements {
            Some(statements) => fs::write(path, statements).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }
    }

    /// What the file of a view says.
    pub(crate) fn definition(&self, view: &str) -> String {
        fs::read_to_string(self.folder.join(format!("sql/views/{view}.sql"))).unwrap()
    }

    /// Starts `viewtide serve`: an API of its own, by the views as they are now.
    pub(crate) async fn serve(&self) -> Serving {
        let address = format!("127.0.0.1:{}", free_port());
        let log = File::create(self.folder.join("serve.log")).unwrap();
        let mut command = self.command(&["serve"]);
        command.env("VIEWTIDE_API_LISTEN", &address);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        let serving = Serving { child: command.spawn().unwrap(), address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&serving.address).await.is_err() {
            assert!(Instant::now() < deadline, "nobody serves");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        serving
    }

    /// The running viewtide.
    pub(crate) fn process(&mut self) -> &mut Child {
        self.viewtide.as_mut().expect("viewtide runs")
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.viewtide.take().expect("viewtide runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Runs `viewtide verify` to its end.
    pub(crate) fn verify(&self) -> Output {
        self.command(&["verify"]).output().unwrap()
    }

    /// Runs `viewtide verify` and panics unless it finds nothing.
    pub(crate) fn assert_verified(&self) {
        let output = self.verify();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && printed.contains(" 0 missing, 0 extra, 0 different"),
            "verify of {}: {}\n{printed}{}\nlog: {}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr),
            self.log().display(),
        );
    }

    /// Runs a command of the product to its end: its exit code, and what it printed.
    pub(crate) fn told(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.command(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// A command of the product with this deployment's configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let stack = Stack::shared();
        let mut command = Command::new(env!("CARGO_BIN_EXE_viewtide"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.folder.join("viewtide.toml"))
            .env("VIEWTIDE_PIPELINE_NAME", &self.name)
            .env("VIEWTIDE_KAFKA_BROKERS", stack.brokers())
            .env("VIEWTIDE_KAFKA_TOPIC_PREFIX", &self.name)
            .env("VIEWTIDE_KAFKA_COMMAND_TOPIC", self.command_topic())
            .env("VIEWTIDE_REGISTRY_URL", stack.registry_url())
            .env("VIEWTIDE_REDIS_URL", &self.redis_url)
            .env("VIEWTIDE_MYSQL_PORT", stack.port("MYSQL_PORT").to_string())
            .env("VIEWTIDE_MYSQL_USER", "root")
            .env("VIEWTIDE_MYSQL_PASSWORD", "debezium")
            .env("VIEWTIDE_MYSQL_DATABASE", &self.name)
            .env("VIEWTIDE_API_LISTEN", self.address())
            .envs(self.settings.iter().map(|(variable, value)| (*variable, value)))
            .stdin(Stdio::null());
        command
    }

    /// Host and port of the API.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.api_port)
    }

    /// The answer to a GET: status and JSON body; status 0 while nobody listens.
    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let address = self.address();
        if TcpStream::connect(&address).await.is_err() {
            return (0, Value::Null);
        }
        let answer = http::get(&address, path).await;
        (answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
    }

    /// A number of `/metrics` by name and labels, if it is there.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let answer = http::get(&self.address(), "/metrics").await;
        let text = String::from_utf8(answer.body).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Waits until a GET answers something for which `right` holds, and returns it.
    pub(crate) async fn eventually(
        &mut self,
        path: &str,
        right: impl Fn(u16, &Value) -> bool,
    ) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (status, body) = self.get(path).await;
            if right(status, &body) {
                return body;
            }
            if let Some(child) = &mut self.viewtide
                && let Some(status) = child.try_wait().unwrap()
            {
                panic!("viewtide ended with {status}; log: {}", self.log().display());
            }
            assert!(
                Instant::now() < deadline,
                "{path} still answers {status} {body}; log: {}",
                self.log().display()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until viewtide has ended, which it must with an error, and returns its log.
    pub(crate) async fn ends_by_itself(&mut self) -> String {
        let mut child = self.viewtide.take().expect("viewtide runs");
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("viewtide goes on; log: {}", self.log().display());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert!(!status.success(), "viewtide ended with {status}");
        fs::read_to_string(self.log()).unwrap()
    }

    /// Waits until a number of `/metrics` is one for which `right` holds.
    pub(crate) async fn eventually_metric(&mut self, name: &str, right: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.metric(name).await;
            if found.is_some_and(&right) {
                return;
            }
            let log = self.log();
            assert!(Instant::now() < deadline, "{name} is still {found:?}; log: {}", log.display());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What viewtide writes.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join(if self.is_twin { "twin.log" } else { "viewtide.log" })
    }

    async fn make_database(&self) {
        Stack::shared().run("infra/mysql.sh", &["database", &self.name]);
        let schema = fs::read_to_string(self.folder.join("sql/schema.sql")).unwrap();
        self.execute(&schema).await;
        let settings = fs::read_to_string(repository().join("viewtide.toml")).unwrap();
        let has_streams = self.folder.join("sql/streams").exists();
        // Unset, the setting takes the folder if there is one; the shop's file names it.
        let kept = settings.lines().filter(|line| has_streams || !line.starts_with("streams ="));
        // No connector is watched unless a test says so.
        let watch = ["[connect]", "url = \"http://127.0.0.1:8083\"", "connector ="];
        let kept = kept.filter(|line| !watch.iter().any(|of_watch| line.starts_with(of_watch)));
        let kept: Vec<_> = kept.collect();
        fs::write(self.folder.join("viewtide.toml"), kept.join("\n")).unwrap();
        if has_streams {
            Stack::shared().run("infra/kafka.sh", &["topic", &self.event_topic(), "3"]);
        }
    }
}

/// Ends viewtide and the connector; the database goes with the test stack's folder.
impl Drop for Deployment {
    fn drop(&mut self) {
        if let Some(mut child) = self.viewtide.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if self.is_twin {
            return;
        }
        let arguments = ["infra/connector.sh", "delete", &self.name];
        let port = Stack::shared().port("CONNECT_PORT").to_string();
        let _ = Command::new("bash")
            .args(arguments)
            .current_dir(repository())
            .env("CONNECT_PORT", port)
            .output();
    }
}

/// An API beside the pipeline; ends with the test.
pub(crate) struct Serving {
    child: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn connect(database: &str) -> Conn {
    let options = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(Stack::shared().port("MYSQL_PORT"))
        .user(Some("root"))
        .pass(Some("debezium"))
        .prefer_socket(false)
        .db_name(Some(database))
        .init(vec!["SET time_zone = '+00:00'"]);
    Conn::new(options).await.unwrap()
}

/// Topics outlive a test, so every deployment of every run has a name of its own.
fn unique_name(purpose: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{purpose}_{:x}_{}", since_epoch.as_secs(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn fastrand(below: u32) -> u32 {
    rand::random_range(0..below)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Event topics are shared like everything in Kafka: each deployment gets its own.
fn rename_event_topics(streams: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(streams) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("topic=", &format!("topic={prefix}."))).unwrap();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap_or_else(|e| panic!("{}: {e}", from.display())) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
