//! The binaries as a user meets them: exit codes and messages, without any service.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const TABLES: &str = "CREATE TABLE t (id INT PRIMARY KEY, n INT);\n";
const VIEW: &str = "CREATE VIEW t AS\nSELECT id, n FROM t;\n";

/// A folder with configuration and SQL, in which every service is at a port where nobody listens.
struct Folder {
    path: PathBuf,
    port: u16,
}

impl Folder {
    fn new() -> Folder {
        let name = format!("viewtide-command-line-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(path.join("views")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = Folder { path, port };
        folder.write("tables.sql", TABLES);
        folder.write("views/t.sql", VIEW);
        folder.write("viewtide.toml", &folder.configuration());
        folder
    }

    fn configuration(&self) -> String {
        let port = self.port;
        format!(
            "[pipeline]\nname = \"nobody\"\ntables = \"tables.sql\"\nviews = \"views\"\n\
             [kafka]\nbrokers = \"127.0.0.1:{port}\"\n\
             [registry]\nurl = \"http://127.0.0.1:{port}\"\n\
             [redis]\nurl = \"redis://127.0.0.1:{port}\"\n\
             [mysql]\nport = {port}\nuser = \"u\"\npassword = \"hidden\"\ndatabase = \"d\"\n\
             [api]\nlisten = \"127.0.0.1:0\"\n"
        )
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path.join(name), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_viewtide"));
        command.args(arguments).arg("--config").arg(self.path.join("viewtide.toml"));
        // What the caller has set for a pipeline of its own is not meant for this one.
        let ours = |name: &String| name.starts_with("VIEWTIDE_") || name == "RUST_LOG";
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        told(self.command(arguments).output().unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The exit code and everything that was printed.
fn told(output: Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn what_is_wrong_at_the_start_ends_it_with_2() {
    let folder = Folder::new();
    let run = |folder: &Folder, want: &str| {
        for command in ["run", "process", "serve", "verify"] {
            let (code, text) = folder.run(&[command]);
            assert!(code == 2 && text.contains(want), "{command}: {code} {text}, not {want}");
        }
    };
    folder.write("views/t.sql", "CREATE VIEW t AS\nSELECT id, RAND() AS r FROM t;\n");
    run(&folder, "views/t.sql:2:12: ");
    folder.write("views/t.sql", VIEW);
    fs::remove_file(folder.path.join("tables.sql")).unwrap();
    run(&folder, "tables.sql (`pipeline.tables`): ");
    folder.write("viewtide.toml", &folder.configuration().replace("brokers", "broker"));
    run(&folder, "viewtide.toml:6: unknown key `kafka.broker`; allowed: brokers,");
    fs::remove_file(folder.path.join("viewtide.toml")).unwrap();
    run(&folder, "cannot read the configuration file ");
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = Folder::new();
    for (arguments, want) in [
        (&["verify", "--view", "x"][..], "no view x; there are: t"),
        (&["explain", "x"], "no view is called `x`: there are t"),
        (&["explain", "t", "1,2"], "a key of view t is id: percent-encoded"),
        (&["explain", "t", "--format", "json"], "<KEY>"),
        (&["verify", "--wait", "0"], "0 is not in 1..=86400"),
        (&["walk"], "unrecognized subcommand 'walk'"),
        (&[], "Usage: viewtide"),
    ] {
        let (code, text) = folder.run(arguments);
        assert!(code == 2 && text.contains(want), "{arguments:?}: {code} {text}");
    }
    let given = folder.command(&["check"]).env("VIEWTIDE_LOG", "t=loud").output().unwrap();
    let (code, text) = told(given);
    assert!(code == 2 && text.contains("VIEWTIDE_LOG is `t=loud`"), "{code} {text}");
    let pusher = Command::new(env!("CARGO_BIN_EXE_event-pusher")).args(["5", "5"]).output();
    let (code, text) = told(pusher.unwrap());
    assert!(code == 2 && text.contains("FIRST 5 must lie below LAST 5"), "{code} {text}");
}

#[test]
fn check_tells_of_every_service_that_is_not_there() {
    let folder = Folder::new();
    let (code, text) = folder.run(&["check"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("ok    views     1 view over 1 table"), "{text}");
    for part in ["redis", "kafka", "registry", "mysql"] {
        let line = format!("FAIL  {part:<9} ");
        assert!(text.lines().any(|l| l.starts_with(&line)), "no `{line}` in {text}");
    }
    assert!(!text.contains("hidden"), "{text}");
    let (code, text) = folder.run(&["verify"]);
    assert!(code == 1 && text.contains("cannot connect to redis"), "{code} {text}");
    let (code, text) = folder.run(&["explain", "t", "-7"]);
    let want = format!("cannot connect to redis at 127.0.0.1:{}", folder.port);
    assert!(code == 1 && text.contains(&want), "{code} {text}");
}

#[test]
fn check_tells_of_every_view_that_is_refused() {
    let folder = Folder::new();
    folder.write("views/a.sql", "CREATE VIEW a AS\nSELECT id, RAND() AS r FROM t;\n");
    folder.write("views/z.sql", "CREATE VIEW z AS\nSELECT n FROM t;\n");
    let (code, text) = folder.run(&["check"]);
    assert_eq!(code, 1, "{text}");
    for place in ["views/a.sql:2:12: ", "views/z.sql:1:13: "] {
        let told = |line: &&str| line.starts_with("FAIL  views ") && line.contains(place);
        assert_eq!(text.lines().filter(told).count(), 1, "not once `{place}` in {text}");
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = folder.command(&["serve"]).env("VIEWTIDE_API_LISTEN", &address).output().unwrap();
    let (code, text) = told(output);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&format!("{address} is taken: ")), "{text}");
}

#[test]
fn a_signal_ends_it_in_order() {
    let folder = Folder::new();
    for (command, signal) in [("serve", "-TERM"), ("run", "-INT")] {
        // A port of our own: it answers once everything is set up.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = folder
            .command(&[command])
            .env("VIEWTIDE_API_LISTEN", free.to_string())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        wait_for(&mut child, || std::net::TcpStream::connect(free).is_ok());
        let killed = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        let (code, text) = told(child.wait_with_output().unwrap());
        assert!(code == 0 && text.contains("stopped"), "{command}: {code} {text}");
    }
}

fn wait_for(child: &mut Child, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(child.try_wait().unwrap().is_none(), "it ended");
        assert!(Instant::now() < deadline, "it does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
}
