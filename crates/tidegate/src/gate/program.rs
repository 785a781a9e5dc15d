//! Checks of a team as programs: one JSON object on standard input, a verdict on standard
//! output. Cases name a program of the project and bring none, since cases come from elsewhere as
//! well: from traffic, from other tools, from a download. There is no shell.

use crate::process_group::KilledWith;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// Most that a program may print, bytes: a verdict has a few hundred.
const PRINTED_MAX: u64 = 64 << 10;
/// How much of what a program says of a failure is read, bytes.
const SAID_MAX: usize = 4 << 10;
/// Longest part of that which is shown, characters.
const SAID_CHARS: usize = 160;

/// The programs of a project.
#[derive(Debug, Default)]
pub(super) struct Programs {
    words: BTreeMap<String, Vec<String>>,
    root: PathBuf,
}

impl Programs {
    pub(super) fn new(words: &BTreeMap<String, Vec<String>>, root: &Path) -> Programs {
        Programs { words: words.clone(), root: root.to_owned() }
    }

    /// What the program of this name prints for an input. With the program, and with the wait for
    /// it, ends whatever it started.
    ///
    /// # Errors
    /// Why it has no verdict, safe to show.
    pub(super) async fn run(&self, name: &str, input: &Value) -> Result<String, String> {
        let words = self.words.get(name).ok_or(format!("`evals.commands.{name}` is not set"))?;
        let mut child = self.start(words).map_err(|error| {
            format!("`{}` cannot be started: {error}", words.first().map_or("", String::as_str))
        })?;
        let _group = KilledWith(child.id());
        let ran = exchange(&mut child, input.to_string().into_bytes()).await;
        let (printed, said, status) =
            ran.map_err(|error| format!("`{name}` cannot be spoken to: {error}"))?;
        if printed.len() as u64 > PRINTED_MAX {
            return Err(format!("`{name}` printed more than {PRINTED_MAX} bytes"));
        }
        if !status.success() {
            let said = last_line(&said);
            let how = status.code().map_or("by a signal".to_owned(), |code| format!("with {code}"));
            return Err(format!("`{name}` ended {how}{said}"));
        }
        String::from_utf8(printed).map_err(|_| format!("`{name}` printed no UTF-8 text"))
    }

    fn start(&self, words: &[String]) -> std::io::Result<Child> {
        let [program, arguments @ ..] = words else {
            return Err(std::io::ErrorKind::InvalidInput.into());
        };
        // A path is the project's; a bare name is looked for as a shell would.
        let program = match program.contains('/') {
            true => self.root.join(program),
            false => PathBuf::from(program),
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.root).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        #[cfg(unix)]
        command.process_group(0);
        command.spawn()
    }
}

/// Writes the input and reads what comes, at the same time: a program may print before it has read
/// everything.
async fn exchange(
    child: &mut Child,
    input: Vec<u8>,
) -> std::io::Result<(Vec<u8>, Vec<u8>, ExitStatus)> {
    let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let writing = async {
        if let Some(mut stdin) = stdin {
            // A program that needs no input may close it or end.
            let _ = stdin.write_all(&input).await;
        }
    };
    // Who prints more than that meets a closed pipe.
    let ((), printed, said) = tokio::join!(writing, read(out, PRINTED_MAX + 1), end_of(err));
    Ok((printed?, said?, child.wait().await?))
}

/// What comes, as far as it is not longer than that.
async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(most).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// The end of what comes; a program that says much is read to its end.
async fn end_of(from: Option<impl AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut piece) = (Vec::new(), vec![0; SAID_MAX]);
    let Some(mut from) = from else { return Ok(kept) };
    loop {
        let length = from.read(&mut piece).await?;
        if length == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&piece[..length]);
        kept.drain(..kept.len().saturating_sub(SAID_MAX));
    }
}

/// The last line that is not blank, after a colon; nothing where there is none.
fn last_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let Some(line) = said.lines().rev().find(|line| !line.trim().is_empty()) else {
        return String::new();
    };
    let clean = line.trim().chars().take(SAID_CHARS);
    format!(": {}", clean.map(|c| if c.is_control() { ' ' } else { c }).collect::<String>())
}
