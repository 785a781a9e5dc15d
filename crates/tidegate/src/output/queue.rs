//! Lines of the log on their way to stderr. A pipe that nobody reads must not stop what logs: one
//! thread writes, the queue before it is bounded, and what does not fit is dropped and counted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Most lines that wait; a line is about 1 KiB.
const LINES_MAX: usize = 4_096;
/// Bytes that are written in one go.
const BATCH: usize = 64 * 1024;
/// Rest between two tries to flush a full queue.
const REST: Duration = Duration::from_millis(5);

static QUEUE: OnceLock<SyncSender<Item>> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

enum Item {
    Line(String),
    /// All lines before it are written.
    Mark(Sender<()>),
}

/// Puts a queue before stderr from here on. Without a thread for it, lines are written where they
/// are made, as before.
pub(crate) fn start() {
    let (sender, receiver) = sync_channel(LINES_MAX);
    let writer = thread::Builder::new().name("log".to_owned()).spawn(move || write(&receiver));
    if writer.is_ok() {
        // A second start changes nothing.
        let _ = QUEUE.set(sender);
    }
}

/// Gives a line to the queue; gives it back where there is none.
pub(crate) fn push(line: String) -> Result<(), String> {
    let Some(queue) = QUEUE.get() else { return Err(line) };
    if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
        queue.try_send(Item::Line(line))
    {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Lines dropped since the start.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Waits until what was logged is written, not longer than `within`.
pub(crate) fn flush(within: Duration) {
    let Some(queue) = QUEUE.get() else { return };
    let until = Instant::now() + within;
    let (mark, written) = channel();
    let mut item = Item::Mark(mark);
    while let Err(TrySendError::Full(back)) = queue.try_send(item) {
        if Instant::now() > until {
            return;
        }
        item = back;
        thread::sleep(REST);
    }
    // Either it is written, or nobody reads it.
    let _ = written.recv_timeout(until.saturating_duration_since(Instant::now()));
}

fn write(items: &Receiver<Item>) {
    let mut said = 0;
    while let Ok(first) = items.recv() {
        let mut text = String::new();
        let mut marks = Vec::new();
        let mut next = Some(first);
        while let Some(item) = next {
            match item {
                Item::Line(line) => {
                    text.push_str(&line);
                    text.push('\n');
                }
                Item::Mark(mark) => marks.push(mark),
            }
            next = if text.len() < BATCH { items.try_recv().ok() } else { None };
        }
        let dropped = dropped();
        if dropped > said {
            let more = dropped - said;
            let note = format!("{more} lines of this log were dropped: nobody read it in time");
            text.push_str(&super::note(&note));
            text.push('\n');
            said = dropped;
        }
        super::write_log(&text);
        // Whoever waited may have given up.
        for mark in marks {
            let _ = mark.send(());
        }
    }
}
