//! A process that leads a group: whatever it starts ends with it.

/// How a group is ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    /// In order.
    End,
    /// At once.
    Kill,
}

/// Sends a signal to the group that the process leads.
#[cfg(unix)]
pub(crate) fn signal(pid: Option<u32>, signal: Signal) {
    use rustix::process::{Pid, Signal as Unix, kill_process_group};
    let signal = match signal {
        Signal::End => Unix::TERM,
        Signal::Kill => Unix::KILL,
    };
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // A group that is gone needs no signal.
        let _ = kill_process_group(pid, signal);
    }
}

/// Elsewhere the process alone is ended, when it is dropped.
#[cfg(not(unix))]
pub(crate) fn signal(_pid: Option<u32>, _signal: Signal) {}

/// Kills a group when it is dropped, in order or with the run that waits for it.
pub(crate) struct KilledWith(pub(crate) Option<u32>);

impl Drop for KilledWith {
    fn drop(&mut self) {
        signal(self.0, Signal::Kill);
    }
}
