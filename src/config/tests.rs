//! Every message that a wrong configuration can lead to.

use std::ffi::OsString;

use super::*;

const GOOD: &str = r#"
[kafka]
brokers = "127.0.0.1:29092"
[registry]
url = "http://127.0.0.1:8081/apis/ccompat/v7"
[redis]
url = "redis://:hidden@127.0.0.1:6379"
[mysql]
user = "shop"
password = "hidden"
database = "shop"
"#;

/// A folder of its own, gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("viewtide-config-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = Folder::new();
    let path = folder.write("viewtide.toml", toml);
    let variables = variables.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
    Config::load_with(Some(&path), variables)
}

/// The message without the folder.
fn message(toml: &str, variables: &[(&str, &str)]) -> String {
    let text = load(toml, variables).unwrap_err().to_string();
    match text.find("viewtide.toml") {
        Some(at) if text.starts_with('/') => text[at..].to_owned(),
        _ => text,
    }
}

#[test]
fn the_shipped_file_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFAULT_FILE);
    let config = Config::load_with(Some(&path), []).unwrap();
    assert_eq!(config.pipeline.name, "shop");
    assert_eq!(config.kafka.table_topic(&config.mysql.database, "orders"), "mysql.shop.orders");
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.verify, Verify::default());
}

#[test]
fn the_environment_overrides_the_file() {
    let folder = Folder::new();
    let secret = folder.write("secret", "from a file\n");
    let config = load(
        GOOD,
        &[
            ("VIEWTIDE_KAFKA_BROKERS", "a:1,b:2"),
            ("VIEWTIDE_KAFKA_TOPIC_PREFIX", "other"),
            ("VIEWTIDE_MYSQL_PORT", "3307"),
            ("VIEWTIDE_MYSQL_USER", "007"),
            ("VIEWTIDE_MYSQL_PASSWORD_FILE", secret.to_str().unwrap()),
            ("VIEWTIDE_LIMITS_FAN_OUT_MAX", "12"),
            ("VIEWTIDE_STATE_DIR", "7"),
            ("VIEWTIDE_STATE_CHECKPOINT_RECORDS", "7"),
            ("VIEWTIDE_VERIFY_BACKGROUND", "true"),
            ("VIEWTIDE_VERIFY_LOAD_PERCENT_MAX", "7"),
            ("VIEWTIDE_LOG", "debug"),
            ("VIEWTIDE_TEST_STACK_DIR", "x"),
            ("OTHER", "x"),
        ],
    )
    .unwrap();
    assert_eq!(config.kafka.brokers, "a:1,b:2");
    assert_eq!(config.kafka.topic_prefix, "other");
    assert_eq!(config.mysql.port, 3307);
    assert_eq!(config.mysql.user, "007");
    assert_eq!(config.mysql.password.expose(), "from a file");
    assert_eq!(config.limits.fan_out_max, 12);
    assert!(config.state_path().ends_with("7") && config.state.checkpoint_records == 7);
    assert_eq!(config.state.checkpoint_interval_seconds, 60);
    assert_eq!((config.verify.background, config.verify.load_percent_max), (true, 7));
}

#[test]
fn secrets_are_not_shown() {
    let config = load(GOOD, &[]).unwrap();
    assert!(!format!("{config:?}").contains("hidden"));
    assert_eq!(config.redis.address(), "127.0.0.1:6379");
    for (from, to) in [
        ("password = \"hidden\"", "password = 4711"),
        ("\"redis://:hidden@127.0.0.1:6379\"", "\"rediss://:4711@h\""),
        ("\"redis://:hidden@127.0.0.1:6379\"", "4711"),
    ] {
        let text = message(&GOOD.replace(from, to), &[]);
        assert!(text.contains("(secret)") && !text.contains("4711"), "{text}");
    }
}

#[test]
fn wrong_files_are_explained() {
    let at = |line: &str, replacement: &str| GOOD.replace(line, replacement);
    let brokers = "brokers = \"127.0.0.1:29092\"";
    for (toml, want) in [
        (
            at("[kafka]", "[kafka]\nbroker = 1"),
            "viewtide.toml:3: unknown key `kafka.broker`; allowed: brokers, command_topic, dead_letter_topic, topic_prefix",
        ),
        (
            format!("{GOOD}[kafak]\n"),
            "viewtide.toml:12: unknown key `kafak`; allowed: api, connect, kafka, limits, mysql, pipeline, redis, registry, source, state, verify",
        ),
        (
            at(brokers, "brokers = 29092"),
            "viewtide.toml:3: `kafka.brokers` is number `29092`; allowed: text in quotes",
        ),
        (
            at(brokers, "brokers = \"localhost\""),
            "viewtide.toml:3: `kafka.brokers` is `localhost`; allowed: `host:port`, several with commas between",
        ),
        (
            at(brokers, ""),
            "viewtide.toml: `kafka.brokers` is missing: set it there or as VIEWTIDE_KAFKA_BROKERS",
        ),
        (
            at("[registry]\nurl = \"http://127.0.0.1:8081/apis/ccompat/v7\"", ""),
            "viewtide.toml: `registry.url` is missing: set it there or as VIEWTIDE_REGISTRY_URL",
        ),
        (
            at("/v7", "/v7/"),
            "viewtide.toml:5: `registry.url` is `http://127.0.0.1:8081/apis/ccompat/v7/`; allowed: `http://host[:port][/path]` without a slash at the end",
        ),
        (
            at("database =", "port = 70000\ndatabase ="),
            "viewtide.toml:11: `mysql.port` is number `70000`; allowed: 1 to 65535",
        ),
        (
            at("database =", "port = \"x\"\ndatabase ="),
            "viewtide.toml:11: `mysql.port` is string \"x\"; allowed: 1 to 65535",
        ),
        (
            format!("{GOOD}[api]\nlisten = \"8001\"\n"),
            "viewtide.toml:13: `api.listen` is invalid socket address syntax; allowed: an address and a port, as `127.0.0.1:8001`",
        ),
        (
            format!("{GOOD}[limits]\natomic_documents_max = 0\n"),
            "viewtide.toml:13: `limits.atomic_documents_max` is 0; allowed: 1 to 8192 documents",
        ),
        (
            format!("{GOOD}[limits]\nfan_out_max = -1\n"),
            "viewtide.toml:13: `limits.fan_out_max` is number `-1`; allowed: a whole number that is not negative",
        ),
        (
            format!("{GOOD}[pipeline]\nname = \"a b\"\n"),
            "viewtide.toml:13: `pipeline.name` is `a b`; allowed: 1 to 64 letters, digits, `-`, `_` or `.`",
        ),
        (
            format!("{GOOD}[pipeline]\nname = \"..\"\n"),
            "viewtide.toml:13: `pipeline.name` is `..`; allowed: 1 to 64 letters, digits, `-`, `_` or `.`, the first no `.`",
        ),
        (
            format!("{GOOD}[connect]\nurl = \"https://c:8083\"\nconnector = \"c\"\n"),
            "viewtide.toml:13: `connect.url` is `https://c:8083`; allowed: http://host:port without a slash at the end",
        ),
        (
            format!("{GOOD}[connect]\nurl = \"http://c:8083\"\nconnector = \"\"\n"),
            "viewtide.toml:14: `connect.connector` is ``; allowed: a connector's name",
        ),
        (
            format!("{GOOD}[state]\ndir = \"\"\n"),
            "viewtide.toml:13: `state.dir` is ``; allowed: a folder",
        ),
        (
            format!("{GOOD}[state]\ncheckpoint_interval_seconds = 0\n"),
            "viewtide.toml:13: `state.checkpoint_interval_seconds` is 0; allowed: 1 to 86400 seconds",
        ),
        (
            format!("pipeline = 1\n{GOOD}"),
            "viewtide.toml:1: `pipeline` is number `1`; allowed: a section, as `[pipeline]`",
        ),
        (format!("{GOOD}[limits\n"), "viewtide.toml:12: not TOML: "),
    ] {
        let text = message(&toml, &[]);
        assert!(text.starts_with(want), "\n got {text}\nwant {want}");
    }
}

#[test]
fn wrong_variables_are_explained() {
    for (variables, want) in [
        (
            &[("VIEWTIDE_KAFKA_BROKER", "x")][..],
            "environment variable VIEWTIDE_KAFKA_BROKER: unknown key `kafka.broker`; allowed: brokers, command_topic, dead_letter_topic, topic_prefix",
        ),
        (
            &[("VIEWTIDE_BROKERS", "x")],
            "environment variable VIEWTIDE_BROKERS: no setting has this name; settings are named VIEWTIDE_SECTION_KEY, as VIEWTIDE_KAFKA_BROKERS",
        ),
        (
            &[("VIEWTIDE_LIMITS_FAN_OUT_MAX", "many")],
            "environment variable VIEWTIDE_LIMITS_FAN_OUT_MAX: `limits.fan_out_max` is string \"many\"; allowed: a whole number that is not negative",
        ),
        (
            &[("VIEWTIDE_REDIS_URL_FILE", "/does/not/exist")],
            "environment variable VIEWTIDE_REDIS_URL_FILE: cannot read /does/not/exist: ",
        ),
        (
            &[("VIEWTIDE_MYSQL_PASSWORD", "x"), ("VIEWTIDE_MYSQL_PASSWORD_FILE", "/dev/null")],
            "environment variables VIEWTIDE_MYSQL_PASSWORD_FILE and VIEWTIDE_MYSQL_PASSWORD set the same key: unset one of them",
        ),
    ] {
        let text = message(GOOD, variables);
        assert!(text.starts_with(want), "\n got {text}\nwant {want}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load_with(Some(Path::new("/does/not/exist.toml")), []).unwrap_err();
    let want = "cannot read the configuration file /does/not/exist.toml: ";
    assert!(error.to_string().starts_with(want), "{error}");
    assert!(error.to_string().ends_with("name one by --config FILE"), "{error}");
}

#[test]
fn sql_is_read_relative_to_the_file() {
    let folder = Folder::new();
    let path = folder.write("viewtide.toml", GOOD);
    let load = || Config::load_with(Some(&path), []).unwrap().definitions();
    let error = load().unwrap_err().to_string();
    assert!(error.contains("sql/schema.sql (`pipeline.tables`): "), "{error}");
    folder.write("sql/schema.sql", "CREATE TABLE t (a INT PRIMARY KEY);");
    folder.write("sql/views/readme.txt", "not SQL");
    let error = load().unwrap_err().to_string();
    assert!(
        error.contains(
            "sql/views (`pipeline.views`): no .sql file in this folder: put a CREATE VIEW"
        ),
        "{error}"
    );
    folder.write("sql/views/b.sql", "b");
    folder.write("sql/views/a.sql", "a");
    let definitions = load().unwrap();
    assert!(definitions.streams.is_empty());
    let views: Vec<&str> = definitions.views.iter().map(|file| file.text.as_str()).collect();
    assert_eq!(views, ["a", "b"]);
    assert!(definitions.views[0].path.ends_with("sql/views/a.sql"));
}
