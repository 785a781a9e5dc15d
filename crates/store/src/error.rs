//! Why the store does not do what it was asked.

use thiserror::Error;

/// What a failure means to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such state, or no such set in it.
    NotFound,
    /// What is there is not a state of this version of Tidegate.
    Foreign,
    /// Another process writes to the state.
    InUse,
    /// Another writer has taken over since: nothing can be written through this handle any more.
    SecondWriter,
    /// The journal does not end with the entry that the append was to follow: an append before it
    /// was written, though its caller never heard of it. Replay the journal and decide again.
    JournalMoved,
    /// What was given cannot be kept as it is; nothing of it was written.
    Refused,
    /// What is kept is not as it was written.
    Damaged,
    /// The disk is full. Writing goes on by itself once there is room.
    NoRoom,
    /// Another program holds the state. Writing goes on by itself.
    Busy,
    /// It could not be read or written, for another reason; an I/O error, say. Writing goes on by
    /// itself once that is possible.
    Failed,
    /// A transaction can be neither finished nor undone, or the file is damaged: nothing is
    /// acknowledged until the process restarts.
    Stopped,
}

/// An error of the store.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct StoreError {
    /// What it means.
    pub kind: StoreErrorKind,
    /// What happened, for a person. Never a stored prompt or answer.
    pub message: String,
    /// What to do, a sentence each.
    pub hints: Vec<String>,
}

/// The result of everything the store does.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl StoreError {
    /// Of this kind.
    pub(crate) fn new(kind: StoreErrorKind, message: impl Into<String>) -> StoreError {
        StoreError { kind, message: message.into(), hints: Vec::new() }
    }

    /// With a next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> StoreError {
        self.hints.push(hint.into());
        self
    }
}
