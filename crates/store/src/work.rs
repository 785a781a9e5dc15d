//! What the writer is asked to do, and what comes of it.

use crate::api::{BudgetName, Epoch};
use crate::query::Whose;
use tidegate_core::access::Spent;
use tidegate_core::calendar::Day;
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, Event};
use tidegate_core::money::{LineKey, PriceTable, Sums};
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::version_set::PackedSet;

/// One thing to write.
#[derive(Debug)]
pub(crate) enum Work {
    /// Events for the journal, all or none.
    Append {
        /// The last entry they are to follow; 0 for none.
        after: u64,
        /// The epoch of the writer that appends.
        epoch: Epoch,
        /// The time that the entries get.
        at: UnixMs,
        /// Appended in one transaction, in this order.
        events: Vec<Event>,
    },
    /// A version set and its files.
    PutSet {
        /// The set, checked.
        packed: Box<PackedSet>,
        /// When it was packed.
        at: UnixMs,
    },
    /// What a user said.
    PutFeedback {
        /// Whose trace it is.
        tenant: Option<String>,
        /// Of which answer.
        id: TraceId,
        /// When the user said it.
        at: UnixMs,
        /// What the user said.
        feedback: Feedback,
    },
    /// Results of an eval, before its report.
    PutResults {
        /// Some of them.
        batch: ResultsBatch,
    },
    /// An eval report.
    PutEval {
        /// The run's report, with its results where there are few.
        report: Box<EvalReport>,
    },
    /// What is named by its content.
    PutBlob {
        /// The content.
        content: Vec<u8>,
    },
    /// Counts of a day.
    AddBaseline {
        /// Of this set.
        set: VersionSetId,
        /// Within the day.
        at: UnixMs,
        /// Merged into the day's counts.
        window: Box<Window>,
    },
    /// What was spent of budgets.
    PutSpent {
        /// The sums.
        sums: Vec<(BudgetName, Spent)>,
        /// Whether a sum may only rise.
        rises_only: bool,
    },
    /// Adds to the books.
    Book {
        /// The lines.
        lines: Vec<(LineKey, Sums)>,
    },
    /// Prices the books by another table.
    Reprice {
        /// From this day on.
        from: Day,
        /// The prices.
        table: Box<PriceTable>,
    },
    /// Deletes one batch of records and feedback.
    Prune {
        /// From before here.
        before: UnixMs,
    },
    /// Deletes someone's records in some batches.
    Erase {
        /// Whose.
        whose: Whose,
        /// The batches before this one.
        before: i64,
    },
    /// Rewrites the file, after the transaction.
    Scrub,
    /// Nothing but the answer, which comes after everything handed over before.
    Flush,
}

/// Some results of a run.
#[derive(Debug)]
pub(crate) struct ResultsBatch {
    /// The run.
    pub(crate) run_id: String,
    /// The place of the first.
    pub(crate) from: usize,
    /// Each as JSON.
    pub(crate) bodies: Vec<String>,
}

impl ResultsBatch {
    /// The place behind its last result.
    pub(crate) fn end(&self) -> usize {
        self.from + self.bodies.len()
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    /// The entries appended.
    Entries(Vec<Entry>),
    /// Whether it is new.
    Kept(bool),
    /// A batch was deleted.
    Pruned {
        /// Records in it.
        records: u64,
        /// Whether there may be more.
        more: bool,
    },
    /// Someone's records were deleted in some batches.
    Erased {
        /// Records deleted.
        records: u64,
        /// Where to go on; `None` at the end.
        next: Option<i64>,
    },
    /// What the books said before and after, trillionths of a dollar.
    Repriced(u128, u128),
    /// It is on disk.
    Flushed,
}
