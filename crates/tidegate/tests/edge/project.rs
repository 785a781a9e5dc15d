//! A user's project in a fresh folder, commands typed in it, and the server that runs on it.

use crate::{client, journal};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, PipeWriter, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Ends a test that hangs; nothing that works takes this long, on a busy machine either.
const WITHIN: Duration = Duration::from_secs(600);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` gives something.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + WITHIN;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "this did not come: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Kills its child when it is dropped.
struct Guarded(Child);

impl Guarded {
    fn wait(&mut self, what: &str) -> ExitStatus {
        wait_for(what, || self.0.try_wait().unwrap())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Output {
    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Output {
        assert_eq!(self.code, code, "{self:?}");
        self
    }

    /// Checks an error: exit code, texts of the message, and texts of the hints.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, says: &[&str], hints: &[&str]) -> Output {
        let output = self.exits(code);
        let lines = |prefix: &str| -> String {
            output.err.lines().filter(|line| line.starts_with(prefix)).collect()
        };
        for (prefix, texts) in [("error: ", says), ("hint: ", hints)] {
            for text in texts {
                assert!(lines(prefix).contains(text), "no `{text}` in a {prefix}of {output:?}");
            }
        }
        assert!(!output.err.contains("panicked"), "{output:?}");
        output
    }

    /// Standard output as one JSON value.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }
}

/// A project that `tidegate init` wrote.
pub(crate) struct Project {
    _folder: TempDir,
    pub(crate) root: PathBuf,
}

/// Lines that do not measure time: a busy machine is no verdict on a release.
const LINES: &str = "\
lines:
  error_rate: {pass: 0.0, pause: 0.2, rollback: 0.3}
  contract_broken_rate: {pass: 0.0, pause: 0.2, rollback: 0.3, required: true}
  refusal_rate: {off: true}
  dislike_rate: {off: true}
  latency_p95: {off: true}
  timeout_rate: {off: true}
  tokens_per_request: {off: true}
  pii_rate: {off: true}
  prompt_echo_rate: {off: true}
";

impl Project {
    /// A new project.
    pub(crate) fn init() -> Project {
        let folder = TempDir::new().unwrap();
        tidegate(folder.path(), &["init", "my-service"], &[]).exits(0);
        let root = folder.path().join("my-service");
        let project = Project { _folder: folder, root };
        // No load balancer waits here.
        project.edit("tidegate.yaml", "\nlimits:\n", "\nlimits:\n  stop_notice_ms: 0\n");
        project
    }

    /// A new project whose model answers at once and whose ladder takes a second.
    pub(crate) fn fast() -> Project {
        let project = Project::quick();
        project.climb_fast();
        project
    }

    /// A new project whose model answers at once.
    pub(crate) fn quick() -> Project {
        let project = Project::init();
        project.edit(
            "tidegate.yaml",
            "    kind: simulated\n",
            "    kind: simulated\n    first_token_ms: 1\n    ms_per_token: 0\n",
        );
        project
    }

    /// Makes the ladder take a second, on lines that a busy machine does not move.
    pub(crate) fn climb_fast(&self) {
        self.edit(
            "tidegate.yaml",
            "  preset: ladder\n",
            "  rungs:\n    - {weight_pct: 20, look_s: 0.3}\n    \
             - {weight_pct: 50, look_s: 0.3}\n    - {weight_pct: 100, look_s: 0.3}\n  \
             tick_ms: 50\n",
        );
        self.edit("tidegate.yaml", "min_samples: 50", "min_samples: 20");
        self.append("tidegate.yaml", LINES);
    }

    /// Replaces a text that is in a file exactly once.
    #[track_caller]
    pub(crate) fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {file}:\n{text}");
        self.write(file, text.replace(from, to));
    }

    /// Adds text at a file's end.
    pub(crate) fn append(&self, file: &str, text: &str) {
        self.write(file, self.read(file) + text);
    }

    /// Writes a file and its folder.
    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A file's text.
    #[track_caller]
    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.root.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    /// A new prompt version made of v2 with another `config.yaml`.
    pub(crate) fn prompt_of_v2(&self, version: &str, from: &str, to: &str) {
        for file in ["system.md", "user_template.md", "config.yaml"] {
            self.write(
                &format!("prompts/{version}/{file}"),
                self.read(&format!("prompts/v2/{file}")),
            );
        }
        self.edit(&format!("prompts/{version}/config.yaml"), from, to);
    }

    /// Every file of the project with its bytes, but not the state, which is looked at elsewhere.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with(".tidegate") {
                    folders.push(path);
                } else if path.is_file() {
                    files.push((path.clone(), std::fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }

    /// Types a command.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        tidegate(&self.root, args, &[])
    }

    /// Types a command with variables in the environment.
    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Output {
        tidegate(&self.root, args, env)
    }

    /// Starts the server and waits until it listens.
    pub(crate) fn serve(&self) -> Server {
        Server::start(&self.root, &[])
    }

    /// The release's phase as the journal has it.
    pub(crate) fn phase(&self) -> String {
        let status = self.run(&["release", "status", "--json"]).exits(0).json();
        status["release"]["state"]["phase"].as_str().unwrap_or("none").to_owned()
    }

    /// Waits until the release is in a phase. Ends at once where it is over in another one, and
    /// shows the status where it ends without it.
    #[track_caller]
    pub(crate) fn wait_for_phase(&self, phase: &str) {
        let until = Instant::now() + WITHIN;
        loop {
            let now = self.phase();
            if now == phase {
                return;
            }
            let is_over = ["promoted", "rolled_back", "shut_off"].contains(&now.as_str());
            if is_over || Instant::now() > until {
                let status = self.run(&["release", "status"]);
                panic!("the release is {now}, and was to become {phase}: {status:?}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

thread_local! {
    /// Where the servers of one test can be found from anywhere: each test runs on a thread, and
    /// must not see the servers of those beside it.
    static RUNTIME: TempDir = TempDir::new().unwrap();
}

fn command(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(args).current_dir(folder).env("USER", "mei").env("NO_COLOR", "1");
    RUNTIME.with(|runtime| command.env("XDG_RUNTIME_DIR", runtime.path()));
    for name in ["TIDEGATE_CONFIG", "EVAL_DATASET", "THRESHOLD_SCORE", "TEST_MODEL", "GIT_SHA"] {
        command.env_remove(name);
    }
    command.envs(env.iter().copied()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was said before the child was killed is kept.
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Keeps what comes, as it comes.
fn keep(from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let log = Arc::clone(&kept);
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    });
    kept
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// A command that somebody looks at and has not ended yet.
pub(crate) struct Watching {
    child: Guarded,
    out: Arc<Mutex<String>>,
    err: JoinHandle<String>,
}

impl Watching {
    /// Types a command that goes on.
    pub(crate) fn start(root: &Path, args: &[&str]) -> Watching {
        let mut child = Guarded(command(root, args, &[]).spawn().unwrap());
        let out = keep(child.0.stdout.take().unwrap());
        let err = read_all(child.0.stderr.take().unwrap());
        Watching { child, out, err }
    }

    /// What it printed so far.
    pub(crate) fn out(&self) -> String {
        self.out.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ctrl-C, and what it said until its end.
    pub(crate) fn interrupt(mut self) -> Output {
        signal(&self.child.0, "-INT");
        let code = self.child.wait("the end after Ctrl-C").code().unwrap_or(-1);
        Output { code, out: self.out(), err: self.err.join().unwrap() }
    }
}

/// Runs the binary to its end.
#[track_caller]
pub(crate) fn tidegate(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut child = Guarded(command(folder, args, env).spawn().unwrap());
    let out = read_all(child.0.stdout.take().unwrap());
    let err = read_all(child.0.stderr.take().unwrap());
    let status = child.wait(&format!("the end of {args:?}"));
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    Output { code: status.code().unwrap_or(-1), out, err }
}

/// A running `tidegate serve`.
pub(crate) struct Server {
    child: Guarded,
    root: PathBuf,
    first_line: Receiver<String>,
    log: Arc<Mutex<String>>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it on a free port and waits until it listens.
    #[track_caller]
    pub(crate) fn start(root: &Path, env: &[(&str, &str)]) -> Server {
        Server::start_with(root, &[], env)
    }

    /// The same with more arguments.
    #[track_caller]
    pub(crate) fn start_with(root: &Path, args: &[&str], env: &[(&str, &str)]) -> Server {
        Server::spawn_with(root, args, env).listening()
    }

    #[track_caller]
    fn listening(self) -> Server {
        let mut server = self;
        let line = server.first_line.recv_timeout(WITHIN);
        let line = line.unwrap_or_else(|_| panic!("the server did not start: {}", server.log()));
        let address = line.strip_prefix("listening on ").and_then(|url| url.split_once("://"));
        let (_, address) = address.unwrap_or_else(|| panic!("{line}"));
        server.address = address.trim_end_matches("/v1").parse().unwrap();
        server
    }

    /// Starts it and waits for nothing; its address is not known.
    pub(crate) fn spawn(root: &Path, env: &[(&str, &str)]) -> Server {
        Server::spawn_with(root, &[], env)
    }

    fn spawn_with(root: &Path, more: &[&str], env: &[(&str, &str)]) -> Server {
        let args = [&["serve", "--listen", "127.0.0.1:0"], more].concat();
        Server::watch(root, Guarded(command(root, &args, env).spawn().unwrap()))
    }

    /// Starts it from a shell after a line of shell, and waits until it listens.
    #[track_caller]
    pub(crate) fn start_under(root: &Path, line: &str, env: &[(&str, &str)]) -> Server {
        let run = format!("{line}; exec \"$0\" serve --listen 127.0.0.1:0");
        let typed = command(root, &[], env);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(run).arg(typed.get_program()).current_dir(root);
        for (name, value) in typed.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Server::watch(root, Guarded(shell.spawn().unwrap())).listening()
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    fn watch(root: &Path, mut child: Guarded) -> Server {
        let (sender, first_line) = channel();
        let out = BufReader::new(child.0.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // Nobody may be waiting any more.
                let _ = sender.send(line);
            }
        });
        let log = child.0.stderr.take().map(keep).unwrap_or_default();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Server { child, root: root.to_owned(), first_line, log, address }
    }

    /// What it said on stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.0.kill().unwrap();
        self.child.wait("the killed server's end");
    }

    /// Asks it to stop, as a supervisor does.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends it a signal, as `kill` names it.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child.0, name);
    }

    /// Starts it with a log that the caller reads, or does not.
    #[track_caller]
    pub(crate) fn start_logging_to(root: &Path, more: &[&str], log: PipeWriter) -> Server {
        let args = [&["serve", "--listen", "127.0.0.1:0"], more].concat();
        let mut command = command(root, &args, &[]);
        command.stderr(log);
        Server::watch(root, Guarded(command.spawn().unwrap())).listening()
    }

    /// Waits for its end and gives its exit code.
    pub(crate) fn ended(mut self) -> Option<i32> {
        self.child.wait("the server's end").code()
    }

    /// One chat request, which must be answered.
    #[track_caller]
    pub(crate) fn chat(&self, user: &str, text: &str) -> client::Answer {
        let answer = client::chat(self.address, Some(user), text).unwrap();
        assert_eq!(answer.status, 200, "{answer:?} {}", self.log());
        answer
    }

    /// The admin plane's address and token, as `.tidegate/admin.json` has them.
    pub(crate) fn admin(root: &Path) -> (SocketAddr, String) {
        let text = std::fs::read(root.join(".tidegate/admin.json")).unwrap();
        let file: Value = serde_json::from_slice(&text).unwrap();
        let address = file["address"].as_str().unwrap().parse().unwrap();
        (address, file["token"].as_str().unwrap().to_owned())
    }

    /// `GET /admin/v1/status`.
    pub(crate) fn admin_status(root: &Path) -> Value {
        let (address, token) = Server::admin(root);
        let header = format!("authorization: Bearer {token}\r\n");
        let answer = client::get(address, "/admin/v1/status", &header).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

/// Lines of the server's log that a failed test shows.
const LOG_SHOWN: usize = 60;

/// A test that fails shows what its server did: a failure that comes once in a thousand runs must
/// explain itself.
impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let process = match self.child.0.try_wait() {
            Ok(None) => "runs".to_owned(),
            Ok(Some(status)) => format!("ended: {status}"),
            Err(error) => error.to_string(),
        };
        let log = self.log();
        let from = log.lines().count().saturating_sub(LOG_SHOWN);
        let log: Vec<&str> = log.lines().skip(from).collect();
        let journal = journal::tail(&self.root).unwrap_or_else(|error| vec![error.to_string()]);
        eprintln!(
            "the server of {} {process}\nits log ends:\n{}\nits journal ends:\n{}",
            self.root.display(),
            log.join("\n"),
            journal.join("\n"),
        );
    }
}
