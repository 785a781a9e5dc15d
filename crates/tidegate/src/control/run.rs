//! The loop that owns control: whatever can wake it is one of [`Wake`].

use super::Control;
use super::ahead::{Ahead, PATIENCE, Relief, STALLED};
use super::command::{Answer, Command, DeleteRequest};
use super::error::{ControlError, Result};
use super::logged::service_of;
use super::records::Deletion;
use super::status::Status;
use super::way_back;
use crate::access::{Closed, Holder};
use crate::clock::Clock;
use crate::log::{About, Event};
use crate::store::{Records as _, Store};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::access::Role;
use tidegate_core::decide::{Decision, Order, OrderKind};
use tidegate_core::ids::UnixMs;
use tidegate_core::journal::{ControlState, Event as JournalEvent};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

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
    /// Write an order to degrade, which is in force already.
    Degraded(Relief, oneshot::Sender<Result<Answer>>),
    /// Journal what is done beside the loop.
    Note(Box<JournalEvent>, oneshot::Sender<Result<()>>),
    /// Add stable's counts to its days.
    KeepBaseline,
    /// End, after writing what is left.
    Stop(oneshot::Sender<()>),
}

/// A way to ask the loop; cheap to clone.
#[derive(Clone)]
pub(crate) struct ControlHandle {
    wakes: mpsc::Sender<Wake>,
    ahead: Arc<Ahead>,
    clock: Clock,
    root: PathBuf,
    store: Store,
}

impl ControlHandle {
    /// Starts the loop on this control.
    pub(crate) fn start(control: Control) -> ControlHandle {
        let (wakes, receiver) = mpsc::channel(WAITING_MAX);
        let (ahead, clock) = (Arc::clone(&control.ahead), control.clock.clone());
        let (root, store) = (control.root.clone(), control.store.clone());
        let owner = tokio::spawn(own(control, receiver));
        tokio::spawn(watch_over(owner, Arc::clone(&ahead), clock.clone()));
        ControlHandle { wakes, ahead, clock, root, store }
    }

    /// Looks at the lines every `every`, and at once when a red-line event comes in.
    pub(crate) fn keep_looking(&self, every: Duration, plane: super::Plane) {
        let looking = self.clone();
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(every);
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            // The last failure that was logged: one that goes on is said once.
            let mut said = None;
            loop {
                tokio::select! {
                    _ = interval.tick() => {}
                    () = plane.collector.red_event_seen() => {}
                }
                match looking.tick_within_patience().await {
                    Ok(()) => said = None,
                    Err(_) if looking.wakes.is_closed() => return,
                    // A look that fails holds the release where it is; stable traffic flows on.
                    Err(error) => {
                        let why = error.to_string();
                        if said.as_ref() == Some(&why) {
                            continue;
                        }
                        said = Some(why.clone());
                        let what = "control: a look failed, the release is held";
                        let state = looking.ahead.journalled();
                        About::service(service_of(&state)).log(&Event::WorkFailed { what, why });
                    }
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

    /// Looks at the lines once. While the loop waits for the store, it is looked at without it.
    async fn tick_within_patience(&self) -> Result<()> {
        let mut tick = std::pin::pin!(self.tick());
        loop {
            match timeout(PATIENCE, &mut tick).await {
                Ok(result) => return result.map(|_| ()),
                Err(_waits) => self.ahead.look(self.clock.now()),
            }
        }
    }

    /// Carries out a command. What only rolls back, stops or reopens does not wait for a store
    /// that does not answer.
    pub(crate) async fn command(&self, command: Command) -> Result<Answer> {
        let at_once = match &command {
            Command::Order { order, release: _, anyway: _ } => {
                matches!(order.kind, OrderKind::RollBack | OrderKind::Pause | OrderKind::End)
            }
            Command::Reopen { .. } => true,
            Command::Start(_)
            | Command::StartAb(_)
            | Command::Approve(_)
            | Command::Pack(_)
            | Command::RecordEval(_)
            | Command::Book(_)
            | Command::KeepSentinel(_)
            | Command::AcceptSentinel { .. }
            | Command::Degrade { .. }
            | Command::StartShadow(_)
            | Command::KeepShadow(_)
            | Command::StopShadow { .. }
            | Command::CloseIncident { .. }
            | Command::MakeKey(_)
            | Command::RotateKey { .. }
            | Command::RevokeKey { .. }
            | Command::Reprice { .. }
            | Command::DeleteRecords(_)
            | Command::WritePack { .. } => false,
        };
        if let Command::RevokeKey { key, by: _ } = &command {
            let done = self.ahead.close_key(key, self.clock.now())?;
            let asked = self.ask(|reply| Wake::Command(Box::new(command), reply));
            return match timeout(PATIENCE, asked).await {
                Ok(answer) => answer?,
                // It is in the queue, and journalled once the store answers.
                Err(_waits) => Ok(Answer::unwritten(done, Some(STALLED.to_owned()))),
            };
        }
        if let Command::DeleteRecords(request) = command {
            return self.delete_records(*request).await;
        }
        if let Command::Degrade { level, by, reason } = &command {
            let (level, at) = (*level, self.clock.now());
            let relief = Relief { level, by: by.clone(), reason: reason.clone(), at };
            if self.ahead.journalled().table.is_none() {
                return Err(ControlError::NoService);
            }
            self.ahead.degrade(relief.clone());
            let asked = self.ask(|reply| Wake::Degraded(relief.clone(), reply));
            return match timeout(PATIENCE, asked).await {
                Ok(answer) => answer?,
                Err(_waits) => self.degraded_ahead(&relief),
            };
        }
        if !at_once {
            return self.ask(|reply| Wake::Command(Box::new(command), reply)).await?;
        }
        if let Command::Order { order, release, anyway } = &command
            && let Some((set, live)) = self.ahead.way_back(order, release.as_ref(), *anyway)
        {
            way_back::ask(set, live).await?;
        }
        let before = self.ahead.effective();
        let copy = command.clone();
        let asked = self.ask(|reply| Wake::Command(Box::new(command), reply));
        match timeout(PATIENCE, asked).await {
            Ok(answer) => answer?,
            Err(_waits) => match self.ahead.has_become(&before, &copy) {
                Some(answer) => Ok(answer),
                None => self.without_the_store(copy),
            },
        }
    }

    fn without_the_store(&self, command: Command) -> Result<Answer> {
        let now = self.clock.now();
        match command {
            Command::Order { order, release, anyway: _ } => self.ahead.order(&order, release, now),
            Command::Reopen { by, reason } => self.ahead.reopen(by, reason, now),
            Command::Start(_)
            | Command::StartAb(_)
            | Command::Approve(_)
            | Command::Pack(_)
            | Command::RecordEval(_)
            | Command::Book(_)
            | Command::KeepSentinel(_)
            | Command::AcceptSentinel { .. }
            | Command::Degrade { .. }
            | Command::StartShadow(_)
            | Command::KeepShadow(_)
            | Command::StopShadow { .. }
            | Command::CloseIncident { .. }
            | Command::MakeKey(_)
            | Command::RotateKey { .. }
            | Command::RevokeKey { .. }
            | Command::Reprice { .. }
            | Command::DeleteRecords(_)
            | Command::WritePack { .. } => Err(ControlError::Stalled),
        }
    }

    /// Deletes records beside the loop, which goes on deciding. Whoever ordered it may leave.
    async fn delete_records(&self, request: DeleteRequest) -> Result<Answer> {
        let state = self.ahead.journalled();
        let deletion = Deletion::of(&self.root, &state, request, self.clock.now())?;
        let (handle, store) = (self.clone(), self.store.clone());
        let done = tokio::spawn(async move {
            handle.note(deletion.event(None)).await?;
            let records = store.erase(&deletion.whose).await?;
            handle.note(deletion.event(Some(records))).await?;
            Deletion::scrub(&store, records).await
        });
        done.await.unwrap_or(Err(ControlError::Ended))
    }

    async fn note(&self, event: JournalEvent) -> Result<()> {
        self.ask(|reply| Wake::Note(Box::new(event), reply)).await?
    }

    /// What is kept.
    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// The time.
    pub(super) fn now(&self) -> UnixMs {
        self.clock.now()
    }

    /// What is ahead of the journal.
    pub(super) fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// Who a key lets in here.
    pub(super) fn key(&self, given: &str, needed: Role) -> Result<Arc<Holder>, Closed> {
        self.ahead.keys().ok_or(Closed::Unknown)?.open(given, needed, self.clock.now())
    }

    /// The state as it is in force.
    pub(crate) fn state(&self) -> ControlState {
        self.ahead.effective()
    }

    /// What is in force, and whether it is written; waits for nothing.
    pub(crate) fn status(&self) -> Status {
        Status::of(&self.ahead, &self.root)
    }

    /// Whether the loop is over.
    pub(super) fn has_ended(&self) -> bool {
        self.wakes.is_closed()
    }

    /// Waits until the loop is over.
    pub(super) async fn ended(&self) {
        self.wakes.closed().await;
    }

    /// Ends the loop after writing what is left.
    pub(crate) async fn stop(&self) -> Result<()> {
        self.ask(Wake::Stop).await
    }

    async fn ask<T>(&self, wake: impl FnOnce(oneshot::Sender<T>) -> Wake) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.wakes.send(wake(reply)).await.map_err(|_| ControlError::Ended)?;
        answer.await.map_err(|_| ControlError::Ended)
    }
}

/// Notices that control broke off, which is a defect: nothing would steer the candidate any more,
/// so it is taken out.
pub(super) async fn watch_over(owner: JoinHandle<()>, ahead: Arc<Ahead>, clock: Clock) {
    let Some(error) = owner.await.err().filter(JoinError::is_panic) else { return };
    let why = format!("control broke off: {error}; restart the server");
    ahead.cannot_write(&why);
    let by = "tidegate".to_owned();
    let order = Order { kind: OrderKind::RollBack, by, reason: why };
    // Without a release there is nothing to take out.
    let _ = ahead.order(&order, None, clock.now());
}

async fn own(mut control: Control, mut wakes: mpsc::Receiver<Wake>) {
    control.finish_post_release().await;
    while let Some(wake) = wakes.recv().await {
        // A reply nobody waits for any more is not an error.
        match wake {
            Wake::Tick(reply) => {
                let _ = reply.send(control.tick().await);
            }
            Wake::Command(command, reply) => {
                let _ = reply.send(control.handle(*command).await);
            }
            Wake::Degraded(relief, reply) => {
                let _ = reply.send(control.write_degraded(&relief).await);
            }
            Wake::Note(event, reply) => {
                let _ = reply.send(control.append(vec![*event]).await);
            }
            Wake::KeepBaseline => {
                if let Err(error) = control.keep_baseline().await {
                    control.log_failed(
                        None,
                        "control: the counts for the 7-day baseline were not stored",
                        &error,
                    );
                }
            }
            Wake::Stop(reply) => {
                control.file_all_red_lines().await;
                control.file_outage(true).await;
                if let Err(error) = control.keep_shadow().await {
                    let what = "control: the last pairs of the shadow were not journalled";
                    control.log_failed(None, what, &error);
                }
                if let Err(error) = control.keep_numbers().await {
                    control.log_failed(
                        None,
                        "control: the last numbers were not journalled",
                        &error,
                    );
                }
                if let Err(error) = control.keep_baseline().await {
                    control.log_failed(
                        None,
                        "control: the counts for the 7-day baseline were not stored",
                        &error,
                    );
                }
                let _ = reply.send(());
                return;
            }
        }
    }
}
