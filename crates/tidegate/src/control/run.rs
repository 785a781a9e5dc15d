//! The loop that owns control: whatever can wake it is one of [`Wake`].

use super::Control;
use super::command::{Answer, Command};
use crate::error::{CliError, Result};
use crate::output;
use std::time::Duration;
use tidegate_core::decide::Decision;
use tidegate_core::journal::ControlState;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the loop; an operator's orders are few.
const WAITING_MAX: usize = 64;

/// How often stable's counts are added to its days.
const BASELINE_EVERY: Duration = Duration::from_secs(30);

/// Everything that can wake control.
enum Wake {
    /// Look at the lines.
    Tick(oneshot::Sender<Result<Option<Decision>>>),
    /// Carry out a command.
    Command(Box<Command>, oneshot::Sender<Result<Answer>>),
    /// Tell the state.
    State(oneshot::Sender<ControlState>),
    /// Add stable's counts to its days.
    KeepBaseline,
    /// End, after writing what is left.
    Stop(oneshot::Sender<()>),
}

/// A way to ask the loop; cheap to clone.
#[derive(Clone)]
pub(crate) struct ControlHandle {
    wakes: mpsc::Sender<Wake>,
}

impl ControlHandle {
    /// Starts the loop on this control.
    pub(crate) fn start(control: Control) -> ControlHandle {
        let (wakes, receiver) = mpsc::channel(WAITING_MAX);
        tokio::spawn(own(control, receiver));
        ControlHandle { wakes }
    }

    /// Looks at the lines every `every`, and at once when a red-line event comes in.
    pub(crate) fn keep_looking(&self, every: Duration, plane: super::Plane) {
        let looking = self.clone();
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(every);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = interval.tick() => {}
                    () = plane.collector.red_event_seen() => {}
                }
                match looking.tick().await {
                    Ok(_) => {}
                    Err(error) if looking.wakes.is_closed() => {
                        let _ = error;
                        return;
                    }
                    // A look that fails holds the release where it is; stable traffic flows on.
                    Err(error) => output::log(&format!("control: {error}; the release is held")),
                }
            }
        });
        let keeping = self.clone();
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(BASELINE_EVERY);
            loop {
                interval.tick().await;
                if keeping.wakes.send(Wake::KeepBaseline).await.is_err() {
                    return;
                }
            }
        });
    }

    /// Looks at the lines once.
    pub(crate) async fn tick(&self) -> Result<Option<Decision>> {
        self.ask(Wake::Tick).await?
    }

    /// Carries out a command.
    pub(crate) async fn command(&self, command: Command) -> Result<Answer> {
        self.ask(|reply| Wake::Command(Box::new(command), reply)).await?
    }

    /// The state.
    pub(crate) async fn state(&self) -> Result<ControlState> {
        self.ask(Wake::State).await
    }

    /// Ends the loop after writing what is left.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.ask(Wake::Stop).await
    }

    async fn ask<T>(&self, wake: impl FnOnce(oneshot::Sender<T>) -> Wake) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let gone =
            || CliError::internal("control has ended; stable traffic is not touched by that");
        self.wakes.send(wake(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

async fn own(mut control: Control, mut wakes: mpsc::Receiver<Wake>) {
    if let Err(error) = control.finish_aftermath().await {
        output::log(&format!("control: what was left undone is so still: {error}"));
    }
    while let Some(wake) = wakes.recv().await {
        // A reply nobody waits for any more is not an error.
        match wake {
            Wake::Tick(reply) => {
                let _ = reply.send(control.tick().await);
            }
            Wake::Command(command, reply) => {
                let _ = reply.send(control.handle(*command).await);
            }
            Wake::State(reply) => {
                let _ = reply.send(control.state().clone());
            }
            Wake::KeepBaseline => {
                if let Err(error) = control.keep_baseline().await {
                    output::log(&format!("control: the baseline was not kept: {error}"));
                }
            }
            Wake::Stop(reply) => {
                if let Err(error) = control.keep_numbers().await {
                    output::log(&format!("control: the last numbers were not kept: {error}"));
                }
                if let Err(error) = control.keep_baseline().await {
                    output::log(&format!("control: the baseline was not kept: {error}"));
                }
                let _ = reply.send(());
                return;
            }
        }
    }
}
