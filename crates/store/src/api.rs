//! What a store does, whatever is below it. Writing is asynchronous and answered when it is on
//! disk; reading sees what is committed.

use crate::error::Result;
use crate::query::{RecordQuery, Whose};
use std::collections::BTreeMap;
use std::future::Future;
use tidegate_core::access::{Period, Spent};
use tidegate_core::calendar::Day;
use tidegate_core::drift::SentinelRun;
use tidegate_core::evidence::{Admission, Record};
use tidegate_core::gate::EvalReport;
use tidegate_core::ids::{ChangeId, Digest, TraceId, UnixMs, VersionSetId};
use tidegate_core::journal::{Entry, Event};
use tidegate_core::money::{LineKey, PriceTable, Sums};
use tidegate_core::observe::{Feedback, Window};
use tidegate_core::route::Arm;
use tidegate_core::version_set::{PackedSet, VersionSet};

/// Whose trace, and its id: two tenants may use the same. Without a tenant where no credential has
/// one.
pub type TenantTrace = (Option<String>, TraceId);

/// Which writer it is: each that opens the state to write has a higher one than all before it, and
/// the store refuses what an earlier one appends. 0 is of no writer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// A request that was taken on. It is handed back with the request's record, or withdrawn when
/// the request is refused after all.
#[derive(Debug, Default)]
#[must_use = "it is handed back with the request's record"]
pub struct Ticket {
    /// The row of its admission, where that was written.
    pub(crate) admission: Option<u64>,
}

/// How many requests: a number that is known, and one that it is not more than.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// So many.
    pub at_least: u64,
    /// Not more than so many, if the disk took writes until the process was killed.
    pub at_most: u64,
}

/// Requests that have no record since their process was killed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LostRecords {
    /// Of the process before this one.
    pub last: Lost,
    /// Of all processes before this one.
    pub total: Lost,
    /// Admissions of ended processes that no record followed, also where it was dropped.
    pub admitted: u64,
}

/// A request that was admitted and has no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecorded {
    /// What was written of it before it was answered.
    pub admission: Admission,
    /// Whether the process that admitted it has ended, so that no record will come.
    pub is_over: bool,
}

/// The journal of control: appended to, never changed.
pub trait Journal {
    /// The epoch that this handle appends with; 0 for one that only reads.
    fn epoch(&self) -> Epoch;

    /// Appends events as one group, all or none; returns when they are on disk. They follow the
    /// entry `after` (0 for the first), which must be the last: whoever decided on a journal that
    /// has moved on since is refused here, and not found at replay. Given up midway (the future is
    /// dropped), they may be written all the same; the next append then says so.
    ///
    /// # Errors
    /// When they could not be written; none of them is then acknowledged.
    fn append(
        &self,
        after: u64,
        epoch: Epoch,
        at: UnixMs,
        events: Vec<Event>,
    ) -> impl Future<Output = Result<Vec<Entry>>> + Send;

    /// The whole journal from `from_seq` on, as stored; replaying it verifies the chain.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    fn journal(&self, from_seq: u64) -> Result<Vec<Entry>>;
}

/// Records of requests and what users said of the answers.
pub trait Records {
    /// Takes a request on; nothing is written of it before its record.
    fn begin(&self) -> Ticket;

    /// Takes a request on and returns when its admission is on disk. Many share one commit. Given
    /// up midway (the future is dropped), there is no admission, or it is deleted again.
    ///
    /// # Errors
    /// When it could not be written, or is not tried since the disk does not answer.
    fn admit(&self, admission: Admission) -> impl Future<Output = Result<Ticket>> + Send;

    /// Ends a request that was refused after all: it has no record, and its admission is deleted.
    fn withdraw(&self, ticket: Ticket);

    /// Hands a request's record to the writer; false when its queue is full and the record is
    /// dropped. The request's admission makes way for the record in one commit; where the record
    /// is dropped, it stays.
    fn record(&self, ticket: Ticket, record: Record) -> bool;

    /// Requests of a trace that were admitted and have no record, newest first, of all tenants.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    fn unrecorded(&self, id: &TraceId) -> Result<Vec<Unrecorded>>;

    /// Requests without a record, of processes before this one. A handle that only reads does not
    /// know of the last one alone.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn lost_records(&self) -> Result<LostRecords>;

    /// Records dropped since the start: the queue was full, or the disk refused them.
    fn dropped_records(&self) -> u64;

    /// Waits until everything handed over so far is on disk.
    ///
    /// # Errors
    /// When records handed over just before could not be written.
    fn flush(&self) -> impl Future<Output = Result<()>> + Send;

    /// The record of a tenant's trace, or of one without a tenant; the latest where it used the id
    /// twice.
    ///
    /// # Errors
    /// When the batch that has it cannot be read; it is named.
    fn trace(&self, tenant: Option<&str>, id: &TraceId) -> Result<Option<Record>>;

    /// The record of a trace of each tenant that used the id, newest first: for an operator, who
    /// may see all tenants.
    ///
    /// # Errors
    /// When a batch that has one cannot be read; it is named.
    fn traces(&self, id: &TraceId) -> Result<Vec<Record>>;

    /// Records by release, arm and failure, by the time that they came in, in the order that is
    /// asked for; those of one moment in the order that they were handed over.
    ///
    /// # Errors
    /// When a batch that has some of them cannot be read; it is named.
    fn records(&self, query: &RecordQuery) -> Result<Vec<Record>>;

    /// Requests and distinct users of an arm of a release. A user is identified by tenant and
    /// name; a request without a user counts by its tenant, without both by itself.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn exposure(&self, change_id: &ChangeId, arm: Arm) -> Result<(u64, u64)>;

    /// Deletes records, admissions and feedback from before a moment, in batches that let control
    /// through; gives how many records went.
    ///
    /// # Errors
    /// When a batch could not be written; those before it are gone.
    fn prune_records(&self, before: UnixMs) -> impl Future<Output = Result<u64>> + Send;

    /// How many records are of someone, without their admissions.
    ///
    /// # Errors
    /// When the store cannot be read; a damaged batch is passed over.
    fn count_of(&self, whose: &Whose) -> Result<u64>;

    /// Deletes someone's records, the feedback on them and admissions without a record, in batches
    /// that let control through; gives how many records went. A batch that cannot be read goes as a
    /// whole: it could not be shown later that what was to go is gone. Requests that run
    /// meanwhile are not deleted.
    ///
    /// # Errors
    /// When a batch could not be written; those before it are gone.
    fn erase(&self, whose: &Whose) -> impl Future<Output = Result<u64>> + Send;

    /// Rewrites all that is kept, so that nothing of what was deleted is left in the files. It
    /// takes about as much free space as the state has, and nothing else is written meanwhile.
    ///
    /// # Errors
    /// When there is no room, or a reader holds the log for longer than some seconds.
    fn scrub(&self) -> impl Future<Output = Result<()>> + Send;

    /// Keeps feedback on a tenant's trace; false when the trace had feedback of this kind already
    /// (the first stays).
    ///
    /// # Errors
    /// When it is not a finite number, or could not be written.
    fn put_feedback(
        &self,
        tenant: Option<&str>,
        id: &TraceId,
        at: UnixMs,
        feedback: Feedback,
    ) -> impl Future<Output = Result<bool>> + Send;

    /// Feedback given on these traces, each in the order it came; traces without any are left out.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    fn feedback_on(&self, traces: &[TenantTrace]) -> Result<BTreeMap<TenantTrace, Vec<Feedback>>>;
}

/// Version sets with their files.
pub trait Sets {
    /// Keeps a packed set and its files, packed at `at`; keeping it again changes nothing but
    /// replaces damaged files.
    ///
    /// # Errors
    /// When the set does not match its files, or could not be written.
    fn put_set(&self, packed: &PackedSet, at: UnixMs) -> impl Future<Output = Result<()>> + Send;

    /// A kept set with its files, verified against its id.
    ///
    /// # Errors
    /// When it is not kept here, or a file of it is missing or altered; the file is named.
    fn set(&self, id: &VersionSetId) -> Result<PackedSet>;

    /// All kept sets: set, label, when first packed; newest first.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    fn sets(&self) -> Result<Vec<(VersionSet, String, UnixMs)>>;
}

/// Eval reports, and the counts of stable's days that a release is compared with.
pub trait Evals {
    /// Keeps an eval report; keeping the same again changes nothing.
    ///
    /// # Errors
    /// When another report is kept under its run id, or it could not be written.
    fn put_eval(&self, report: &EvalReport) -> impl Future<Output = Result<()>> + Send;

    /// The latest report on a set.
    ///
    /// # Errors
    /// When the row cannot be read; it is named.
    fn latest_eval(&self, set: &VersionSetId) -> Result<Option<EvalReport>>;

    /// The latest report that passed its gate, of whatever set: what a new run is compared with.
    ///
    /// # Errors
    /// When the row cannot be read; it is named.
    fn last_passed_eval(&self) -> Result<Option<EvalReport>>;

    /// The report of a run; `None` where no such run is kept.
    ///
    /// # Errors
    /// When the row cannot be read; it is named.
    fn eval(&self, run_id: &str) -> Result<Option<EvalReport>>;

    /// The ids of all runs that are kept, the newest first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn eval_runs(&self) -> Result<Vec<String>>;

    /// Keeps a run of the fixed cases; gives what finds it again.
    ///
    /// # Errors
    /// When it could not be written.
    fn put_sentinel(&self, run: &SentinelRun) -> impl Future<Output = Result<Digest>> + Send;

    /// A run of the fixed cases that was kept.
    ///
    /// # Errors
    /// When it is not kept here, or cannot be read.
    fn sentinel(&self, report: &Digest) -> Result<SentinelRun>;

    /// Adds a window to the stable set's counts of the day `at` falls in (UTC).
    ///
    /// # Errors
    /// When the counts of that day cannot be read, or could not be written.
    fn add_baseline(
        &self,
        set: &VersionSetId,
        at: UnixMs,
        window: &Window,
    ) -> impl Future<Output = Result<()>> + Send;

    /// The set's counts of the 7 days before `at`, merged, with how many days have any (1 to 7).
    /// Days are UTC; the last of the 7 is the one `at` falls in.
    ///
    /// # Errors
    /// When a day's row cannot be read; it is named.
    fn baseline(&self, set: &VersionSetId, at: UnixMs) -> Result<Option<(Window, u32)>>;
}

/// Whose budget it is, by a name that the caller chooses, and of which period.
pub type BudgetName = (String, Period);

/// What was spent of budgets, written ahead: see [`tidegate_core::access::budget`].
pub trait Budgets {
    /// What is on disk of each budget.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    fn spent(&self) -> Result<BTreeMap<BudgetName, Spent>>;

    /// Writes sums and returns when they are on disk. A sum is only raised, and a later period
    /// takes an earlier one's place: what was overtaken on its way here does no harm.
    ///
    /// # Errors
    /// When they could not be written; none of them is then acknowledged.
    fn raise_spent(
        &self,
        sums: Vec<(BudgetName, Spent)>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// As [`Budgets::raise_spent`], whatever is there: for who starts or ends, when nothing is on
    /// its way.
    ///
    /// # Errors
    /// When they could not be written.
    fn set_spent(&self, sums: Vec<(BudgetName, Spent)>) -> impl Future<Output = Result<()>> + Send;
}

/// What calls of model servers used and cost, added up. Records go after their retention, the books
/// stay.
pub trait Books {
    /// Adds lines of calls that have no record: what Tidegate asks for itself.
    ///
    /// # Errors
    /// When they could not be written; then none of them is in the books.
    fn book(&self, lines: Vec<(LineKey, Sums)>) -> impl Future<Output = Result<()>> + Send;

    /// The lines of these days, the last included.
    ///
    /// # Errors
    /// When a row cannot be read; it is named.
    fn costs(&self, from: Day, to: Day) -> Result<BTreeMap<LineKey, Sums>>;

    /// Prices all lines from a day on by another table. Gives what they cost before and after, in
    /// trillionths of a dollar.
    ///
    /// # Errors
    /// When it could not be written; then nothing has another price.
    fn reprice(
        &self,
        from: Day,
        table: PriceTable,
    ) -> impl Future<Output = Result<(u128, u128)>> + Send;
}
