//! Bounds at work: what each scope – a key, a tenant, the service – has used of its bounds, and
//! each request's part of it.

use crate::clock::Clock;
use crate::store::{BudgetName, Budgets as _, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tidegate_core::access::{
    Ahead, Allowance, Asked, Begun, Bounds, Ledger, Level, Refused, SCOPES_MAX, Spent, Used,
    begin_all,
};
use tidegate_core::ids::UnixMs;
use tidegate_core::money::Money;
use tokio::time::timeout;

/// How long a request waits for its budget's sum to be on disk.
const WRITTEN_WITHIN: Duration = Duration::from_secs(1);

/// What was spent of budgets, by the name it is kept under.
pub(crate) type Sums = BTreeMap<BudgetName, Spent>;

/// Whose bounds they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    /// Of the keys of one name.
    Key,
    /// Of a tenant.
    Tenant,
    /// Of the service as a whole.
    Service,
}

/// What a key, a tenant or the service has used of its bounds.
#[derive(Debug)]
pub(crate) struct Scope {
    /// What it is.
    pub(crate) kind: ScopeKind,
    /// Whose, for messages.
    pub(crate) name: String,
    /// What its budgets are kept under.
    kept_as: String,
    /// Whether tokens are counted.
    counts_tokens: bool,
    /// Whether money is counted.
    counts_money: bool,
    allowance: Mutex<Allowance>,
}

impl Scope {
    /// One that has used nothing but the money that is on disk; `None` where it has no bounds.
    pub(crate) fn new(
        kind: ScopeKind,
        name: &str,
        bounds: &Bounds,
        now: UnixMs,
        sums: &Sums,
    ) -> Option<Arc<Scope>> {
        let kept_as = kept_as(kind, name, bounds);
        let on_disk = |period| sums.get(&(kept_as.clone(), period)).copied();
        let allowance = Allowance::of(bounds, now, on_disk)?;
        Some(Arc::new(Scope {
            kind,
            name: name.to_owned(),
            counts_tokens: allowance.counts_tokens(),
            counts_money: allowance.counts_money(),
            allowance: Mutex::new(allowance),
            kept_as,
        }))
    }

    fn locked(&self) -> MutexGuard<'_, Allowance> {
        // Every change is whole after its statement: a panic elsewhere leaves it usable.
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its budgets with what was spent of them.
    pub(crate) fn ledgers(&self, now: UnixMs) -> Vec<Ledger> {
        self.locked().ledgers().map(|ledger| ledger.at(now)).collect()
    }

    /// The true sums of its budgets, for who starts or ends.
    pub(crate) fn close(&self) -> Vec<(BudgetName, Spent)> {
        let mut allowance = self.locked();
        let sums = allowance.close();
        sums.map(|(period, spent)| ((self.kept_as.clone(), period), spent)).collect()
    }
}

/// What a budget is kept under. Keys of one name share what they use as long as they have the same
/// bounds, so the bounds are a part of its name; a tenant's and the service's may change.
fn kept_as(kind: ScopeKind, name: &str, bounds: &Bounds) -> String {
    match kind {
        ScopeKind::Key => {
            let Bounds { requests_per_min, tokens_per_min, concurrent, .. } = *bounds;
            let counts = [requests_per_min, tokens_per_min, concurrent.map(u64::from)];
            let counts = counts.map(|count| count.map(|count| count.to_string()));
            let money = [bounds.budget_day, bounds.budget_month];
            let money = money.map(|limit| limit.map(|limit| limit.to_string()));
            let all = counts.into_iter().chain(money).map(Option::unwrap_or_default);
            format!("key/{}/{name}", all.collect::<Vec<_>>().join("/"))
        }
        ScopeKind::Tenant => format!("tenant/{name}"),
        ScopeKind::Service => "service".to_owned(),
    }
}

/// The scopes whose bounds hold for a request.
pub(crate) type Scopes = [Option<Arc<Scope>>; SCOPES_MAX];

/// The bounds of a service and of its tenants.
#[derive(Debug, Default)]
pub(crate) struct ServiceBounds {
    service: Option<Arc<Scope>>,
    tenants: BTreeMap<String, Arc<Scope>>,
}

impl ServiceBounds {
    /// As a project says, with what is on disk.
    pub(crate) fn new(
        service: &Bounds,
        tenants: impl Iterator<Item = (String, Bounds)>,
        now: UnixMs,
        sums: &Sums,
    ) -> ServiceBounds {
        let tenant = |(name, bounds): (String, Bounds)| {
            let scope = Scope::new(ScopeKind::Tenant, &name, &bounds, now, sums)?;
            Some((name, scope))
        };
        ServiceBounds {
            service: Scope::new(ScopeKind::Service, "service", service, now, sums),
            tenants: tenants.filter_map(tenant).collect(),
        }
    }

    /// The scopes of a request.
    pub(crate) fn scopes(&self, key: Option<&Arc<Scope>>, tenant: Option<&str>) -> Scopes {
        let tenant = tenant.and_then(|tenant| self.tenants.get(tenant));
        [key.cloned(), tenant.cloned(), self.service.clone()]
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Scope>> {
        self.service.iter().chain(self.tenants.values())
    }
}

/// Why a request may not begin.
#[derive(Debug, Error)]
pub(crate) enum NotTaken {
    /// One of its scopes refuses; with what is left of the caller's.
    #[error("over a bound")]
    Refused(Arc<Scope>, Refused, Box<[Option<Level>; 2]>),
    /// What it may cost could not be written to disk.
    #[error("the budget could not be written to disk")]
    NotWritten,
}

impl From<StoreError> for NotTaken {
    fn from(_: StoreError) -> NotTaken {
        NotTaken::NotWritten
    }
}

/// µs since the first request that asked.
fn now_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// A request's part of all bounds that hold for it, until it is dropped.
pub(crate) struct Taken {
    scopes: Scopes,
    asked: Asked,
    tokens: AtomicU64,
    cost: AtomicU64,
}

impl Taken {
    /// Takes a request's part of all its scopes, or of none; `None` where there are no bounds.
    /// `asked` is made where tokens (first) or money (second) are counted.
    ///
    /// # Errors
    /// [`NotTaken`] when a scope does not allow it, or a budget could not be written to disk.
    pub(crate) async fn of(
        scopes: Scopes,
        asked: impl FnOnce(bool, bool) -> Asked,
        store: &Store,
        clock: &Clock,
    ) -> Result<Option<Taken>, NotTaken> {
        if scopes.iter().all(Option::is_none) {
            return Ok(None);
        }
        let any = |counts: fn(&Scope) -> bool| scopes.iter().flatten().any(|s| counts(s));
        let asked = asked(any(|s| s.counts_tokens), any(|s| s.counts_money));
        // Each turn raises what is on disk, up to the budget: then the request is refused.
        loop {
            match begin(&scopes, asked, clock.now()) {
                Ok(Begun::Granted) => {
                    let (tokens, cost) = Default::default();
                    return Ok(Some(Taken { scopes, asked, tokens, cost }));
                }
                Ok(Begun::WriteAhead(ahead)) => {
                    // Rare, and all requests would carry its state.
                    Box::pin(write_ahead(&scopes, &ahead, store)).await?;
                }
                Err((scope, refused)) => {
                    let left = Box::new(levels_of(&scopes));
                    let scope = scopes.into_iter().nth(scope).flatten();
                    return Err(scope.map_or(NotTaken::NotWritten, |scope| {
                        NotTaken::Refused(scope, refused, left)
                    }));
                }
            }
        }
    }

    /// Says that the model server is called: from now on it may cost all that it may.
    pub(crate) fn is_sent(&self) {
        self.cost.store(self.asked.most.unwrap_or_default().0, Ordering::Relaxed);
    }

    /// Says what it used. Without a cost it is all that it may cost, once it was sent.
    pub(crate) fn used(&self, tokens: u64, cost: Option<Money>) {
        self.tokens.store(tokens, Ordering::Relaxed);
        if let Some(cost) = cost {
            self.cost.store(cost.0, Ordering::Relaxed);
        }
    }

    /// How full the buckets are; see [`levels_of`].
    pub(crate) fn levels(&self) -> [Option<Level>; 2] {
        levels_of(&self.scopes)
    }
}

/// How full the buckets are, of requests and of tokens: the key's, else the tenant's. How full the
/// service's are would say what other tenants do.
fn levels_of([key, tenant, _service]: &Scopes) -> [Option<Level>; 2] {
    let now_us = now_us();
    let mut found = [None; 2];
    for scope in [tenant, key].into_iter().flatten() {
        let levels = scope.locked().levels(now_us);
        for (found, level) in found.iter_mut().zip(levels) {
            *found = level.or(*found);
        }
    }
    found
}

impl Drop for Taken {
    fn drop(&mut self) {
        let tokens = self.tokens.load(Ordering::Relaxed);
        let used = Used { tokens, cost: Money(self.cost.load(Ordering::Relaxed)) };
        let now_us = now_us();
        for scope in self.scopes.iter().flatten() {
            scope.locked().end(self.asked, used, now_us);
        }
    }
}

fn begin(scopes: &Scopes, asked: Asked, now: UnixMs) -> Result<Begun, (usize, Refused)> {
    // Always in the same order, so that two requests do not wait for each other.
    let mut locked = scopes.each_ref().map(|scope| scope.as_ref().map(|scope| scope.locked()));
    let mut allowances = locked.each_mut().map(|scope| scope.as_deref_mut());
    begin_all(&mut allowances, asked, (now_us(), now))
}

async fn write_ahead(scopes: &Scopes, ahead: &[Ahead], store: &Store) -> Result<(), NotTaken> {
    let scope = |at: usize| scopes.get(at).and_then(Option::as_ref);
    let sum = |Ahead { scope: at, period, spent }: &Ahead| {
        Some(((scope(*at)?.kept_as.clone(), *period), *spent))
    };
    let sums = ahead.iter().filter_map(sum).collect();
    let written = timeout(WRITTEN_WITHIN, store.raise_spent(sums)).await;
    written.map_err(|_| NotTaken::NotWritten)??;
    for Ahead { scope: at, period, spent } in ahead {
        if let Some(scope) = scope(*at) {
            scope.locked().is_ahead(*period, *spent);
        }
    }
    Ok(())
}
