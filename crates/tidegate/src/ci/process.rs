//! One command of a stage, in its own process group: whatever it starts ends with it.

use super::log::LINE_MAX;
use crate::process_group::{Signal, signal};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, timeout, timeout_at};

/// How long a group may take to end in order before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is read on after the command's end: what it left running may hold the pipe.
const READ_ON: Duration = Duration::from_millis(500);
/// Lines that wait to be shown.
const LINES: usize = 64;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal that we did not send.
    Killed,
    /// Its time was over.
    TimedOut,
    /// The run was interrupted.
    Interrupted,
}

/// A command, ready to be started.
pub(super) struct Ready<'a> {
    /// The program and its arguments.
    pub(super) words: &'a [String],
    /// The folder it runs in.
    pub(super) folder: &'a Path,
    /// What its environment has beside ours.
    pub(super) env: &'a BTreeMap<String, String>,
    /// When it must have ended.
    pub(super) deadline: Instant,
}

impl Ready<'_> {
    /// Runs it to its end; every line that it prints goes to `line`.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) async fn run(
        self,
        interrupted: &mut Receiver<()>,
        mut line: impl FnMut(&str),
    ) -> io::Result<Ended> {
        let mut child = self.start()?;
        let (sender, mut lines) = channel(LINES);
        if let Some(out) = child.stdout.take() {
            tokio::spawn(read_lines(out, sender.clone()));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(read_lines(err, sender));
        }
        let pid = child.id();
        let ended = loop {
            tokio::select! {
                status = child.wait() => break of_status(status?),
                Some(text) = lines.recv() => line(&text),
                () = tokio::time::sleep_until(self.deadline) => {
                    end(&mut child, pid).await;
                    break Ended::TimedOut;
                }
                Some(()) = interrupted.recv() => {
                    end(&mut child, pid).await;
                    break Ended::Interrupted;
                }
            }
        };
        let until = Instant::now() + READ_ON;
        while let Ok(Some(text)) = timeout_at(until, lines.recv()).await {
            line(&text);
        }
        // What the command left running would hold the job's machine.
        signal(pid, Signal::Kill);
        Ok(ended)
    }

    fn start(&self) -> io::Result<Child> {
        let [program, arguments @ ..] = self.words else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder).envs(self.env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        #[cfg(unix)]
        command.process_group(0);
        command.spawn()
    }
}

fn of_status(status: ExitStatus) -> Ended {
    status.code().map_or(Ended::Killed, Ended::Exited)
}

/// Sends on what comes, line by line; a line that is too long is cut.
async fn read_lines(from: impl AsyncRead + Unpin, to: Sender<String>) {
    let mut reader = BufReader::with_capacity(LINE_MAX, from);
    let mut line = Vec::new();
    loop {
        let Ok(piece) = reader.fill_buf().await else { return };
        if piece.is_empty() {
            break;
        }
        let end = piece.iter().position(|byte| *byte == b'\n');
        let taken = &piece[..end.unwrap_or(piece.len())];
        let room = LINE_MAX.saturating_sub(line.len());
        line.extend_from_slice(&taken[..taken.len().min(room)]);
        let used = end.map_or(piece.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() && to.send(text(&std::mem::take(&mut line))).await.is_err() {
            return;
        }
    }
    if !line.is_empty() {
        // Nobody may read any more.
        let _ = to.send(text(&line)).await;
    }
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches('\r').to_owned()
}

/// Ends the command and all that it started: first in order, then at once.
async fn end(child: &mut Child, pid: Option<u32>) {
    signal(pid, Signal::End);
    if timeout(GRACE, child.wait()).await.is_err() {
        signal(pid, Signal::Kill);
        // A killed process ends; what its status is does not matter any more.
        let _ = timeout(GRACE, child.wait()).await;
    }
}
