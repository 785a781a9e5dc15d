//! Keys at work: which key opens, and what for; [`bounds`]: how much of it.
//!
//! Control owns the keys ([`tidegate_core::access`]); this is its table of them for those who let
//! callers in. The table is replaced as a whole, so a revoked key opens nothing from the next
//! request on; a revocation is in force before it is journalled.

mod bounds;

pub(crate) use bounds::{NotTaken, Scope, ScopeKind, ServiceBounds, Sums, Taken};

use crate::secret;
use crate::store::BudgetName;
use arc_swap::ArcSwap;
use ring::hmac;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use tidegate_core::access::{
    Bounds, HeldKey, KeyError, KeyId, KeyState, KeyText, Ledger, Role, Spent,
};
use tidegate_core::ids::{Digest, UnixMs};

/// The file of the secret that keys are hashed with.
const FILE: &str = ".tidegate/keys.secret";

/// What keys are hashed with. Whoever reads the state alone can check no guess at a key.
#[derive(Clone)]
pub(crate) struct KeySecret(hmac::Key);

/// It is a secret, so it is not shown.
impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret")
    }
}

impl KeySecret {
    /// The project's secret, made where there is none.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub(crate) fn kept(root: &Path) -> io::Result<KeySecret> {
        secret::kept(root, FILE).map(KeySecret::new)
    }

    /// The project's secret, where there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(root: &Path) -> io::Result<Option<KeySecret>> {
        Ok(secret::read(root, FILE)?.map(KeySecret::new))
    }

    fn new(bytes: [u8; secret::BYTES]) -> KeySecret {
        KeySecret(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// What is kept of a key.
    pub(crate) fn hash(&self, key: &KeyText) -> Digest {
        let mut tag = [0; 32];
        tag.copy_from_slice(hmac::sign(&self.0, key.reveal().as_bytes()).as_ref());
        Digest::made(&tag)
    }

    /// Whether a key has this hash; in constant time.
    fn is_hash(&self, key: &KeyText, tag: &[u8; 32]) -> bool {
        hmac::verify(&self.0, key.reveal().as_bytes(), tag).is_ok()
    }
}

/// Why a key does not open. The key is never in it, and a caller cannot tell an unknown key from
/// a wrong one of a known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Closed {
    /// Its text.
    #[error(transparent)]
    Text(#[from] KeyError),
    /// The service has no such key.
    #[error("the key is not known to this service")]
    Unknown,
    /// It was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// Its time is over.
    #[error("the key has expired")]
    Expired,
    /// It is for the other plane.
    #[error("the key has role `{0}`, which does not open this")]
    Role(Role),
}

/// Who holds a key.
#[derive(Debug)]
pub(crate) struct Holder {
    /// Whose key it is.
    pub(crate) name: Arc<str>,
    /// The tenant.
    pub(crate) tenant: Option<Arc<str>>,
    /// The key, its role and its bounds.
    pub(crate) held: HeldKey,
    /// What is used of the bounds; absent for a key without bounds.
    pub(crate) scope: Option<Arc<Scope>>,
}

impl Holder {
    fn of(held: HeldKey, scope: Option<Arc<Scope>>) -> Arc<Holder> {
        let tenant = held.grant.tenant.as_deref().map(Into::into);
        Arc::new(Holder { name: held.grant.name.as_str().into(), tenant, held, scope })
    }
}

/// What is shared by keys of one name that have the same bounds: a successor gives its owner no
/// more than before.
type Owner = (String, Bounds);

fn owner(held: &HeldKey) -> Owner {
    (held.grant.name.clone(), held.grant.bounds())
}

#[derive(Clone)]
struct Row {
    tag: [u8; 32],
    holder: Arc<Holder>,
}

#[derive(Clone, Default)]
struct Rows {
    secret: Option<KeySecret>,
    rows: BTreeMap<KeyId, Row>,
}

/// The keys of a service; read by every request, written by control.
#[derive(Default)]
pub(crate) struct KeyTable {
    rows: ArcSwap<Rows>,
    /// What was on disk of budgets at the start.
    sums: Sums,
    /// Revoked, and not in the journal yet. Only writers take it.
    ahead: Mutex<BTreeSet<KeyId>>,
}

impl KeyTable {
    /// A table without keys; `sums` is what is on disk of budgets.
    pub(crate) fn new(sums: Sums) -> KeyTable {
        KeyTable { sums, ..KeyTable::default() }
    }

    /// Takes the keys of the state over.
    pub(crate) fn publish(
        &self,
        secret: Option<&KeySecret>,
        keys: &BTreeMap<KeyId, HeldKey>,
        now: UnixMs,
    ) {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        // What was used stays used, whatever else becomes of the keys.
        let before = self.rows.load();
        let used = before
            .rows
            .values()
            .filter_map(|row| Some((owner(&row.holder.held), row.holder.scope.clone()?)));
        let mut scopes: BTreeMap<Owner, Arc<Scope>> = used.collect();
        let mut row = |(id, held): (&KeyId, &HeldKey)| {
            let held = if ahead.contains(id) { closed(held.clone()) } else { held.clone() };
            let tag = held.grant.hash.bytes()?;
            let owner = owner(&held);
            let shared = match scopes.get(&owner) {
                Some(scope) => Some(Arc::clone(scope)),
                None => {
                    let new = Scope::new(ScopeKind::Key, &owner.0, &owner.1, now, &self.sums);
                    scopes.extend(new.clone().map(|new| (owner, new)));
                    new
                }
            };
            Some((id.clone(), Row { tag, holder: Holder::of(held, shared) }))
        };
        let rows = keys.iter().filter_map(&mut row).collect();
        self.rows.store(Arc::new(Rows { secret: secret.cloned(), rows }));
    }

    /// What was spent of the budgets of each key.
    pub(crate) fn ledgers(&self, now: UnixMs) -> BTreeMap<KeyId, Vec<Ledger>> {
        let rows = self.rows.load();
        let of =
            |(id, row): (&KeyId, &Row)| Some((id.clone(), row.holder.scope.as_ref()?.ledgers(now)));
        rows.rows.iter().filter_map(of).collect()
    }

    /// The true sums of all budgets of keys, for who starts or ends.
    pub(crate) fn close_budgets(&self) -> Vec<(BudgetName, Spent)> {
        let rows = self.rows.load();
        let scopes = rows.rows.values().filter_map(|row| row.holder.scope.as_ref());
        scopes.flat_map(|scope| scope.close()).collect()
    }

    /// Closes a key at once, before the journal says so.
    pub(crate) fn close(&self, key: &KeyId) {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        ahead.insert(key.clone());
        let mut next = Rows::clone(&self.rows.load());
        if let Some(row) = next.rows.get_mut(key) {
            row.holder = Holder::of(closed(row.holder.held.clone()), row.holder.scope.clone());
        }
        self.rows.store(Arc::new(next));
    }

    /// Whether there is a key for callers, one that opens no more included: a service whose last
    /// key was revoked is not open to all.
    pub(crate) fn asks(&self) -> bool {
        self.rows.load().rows.values().any(|row| row.holder.held.grant.role == Role::Call)
    }

    /// Who this key lets in, for what needs a role.
    ///
    /// # Errors
    /// [`Closed`] when it does not open.
    pub(crate) fn open(
        &self,
        given: &str,
        needed: Role,
        now: UnixMs,
    ) -> Result<Arc<Holder>, Closed> {
        let key = KeyText::parse(given)?;
        let rows = self.rows.load();
        let Some(secret) = &rows.secret else { return Err(Closed::Unknown) };
        let row = rows.rows.get(&key.id());
        // An unknown name takes as much work.
        let tag = row.map_or(&[0; 32], |row| &row.tag);
        let (true, Some(row)) = (secret.is_hash(&key, tag), row) else {
            return Err(Closed::Unknown);
        };
        let held = &row.holder.held;
        match held.state(now) {
            KeyState::Revoked => Err(Closed::Revoked),
            KeyState::Expired => Err(Closed::Expired),
            KeyState::Live if !held.grant.role.covers(needed) => Err(Closed::Role(held.grant.role)),
            KeyState::Live => Ok(Arc::clone(&row.holder)),
        }
    }
}

/// The same key, which opens no more.
fn closed(mut held: HeldKey) -> HeldKey {
    held.revoke(UnixMs(0), "");
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::access::Grant;
    use tidegate_core::access::key::RANDOM_BYTES;

    struct Desk {
        secret: KeySecret,
        keys: BTreeMap<KeyId, HeldKey>,
        table: KeyTable,
    }

    impl Desk {
        fn new() -> Desk {
            let (keys, table) = Default::default();
            Desk { secret: KeySecret::new([3; 32]), keys, table }
        }

        fn make(&mut self, byte: u8, role: Role, expires_at: Option<u64>) -> KeyText {
            let key = KeyText::of(&[byte; RANDOM_BYTES]);
            let grant = Grant {
                key: key.id(),
                name: "app".to_owned(),
                hash: self.secret.hash(&key),
                tenant: Some("acme".to_owned()),
                role,
                expires_at: expires_at.map(UnixMs),
                priority: None,
                requests_per_min: None,
                tokens_per_min: None,
                concurrent: None,
                budget_day: None,
                budget_month: None,
                models: BTreeSet::new(),
            };
            self.keys.insert(key.id(), HeldKey::new(grant, UnixMs(0), "mei"));
            self.table.publish(Some(&self.secret), &self.keys, UnixMs(0));
            key
        }

        fn check(&self, key: &str, needed: Role, now: u64, expected: Result<&str, Closed>) {
            let opened = self.table.open(key, needed, UnixMs(now));
            let tenant = opened.map(|holder| holder.tenant.as_deref().unwrap_or("").to_owned());
            assert_eq!(tenant.as_deref(), expected.as_ref().map(|t| *t), "{needed} at {now}");
        }
    }

    #[test]
    fn only_the_whole_key_opens_and_only_its_own_plane() {
        let mut desk = Desk::new();
        assert!(!desk.table.asks());
        let key = desk.make(1, Role::Call, None);
        desk.check(key.reveal(), Role::Call, 5, Ok("acme"));
        desk.check(key.reveal(), Role::Read, 5, Err(Closed::Role(Role::Call)));
        let reader = desk.make(2, Role::Read, None);
        desk.check(reader.reveal(), Role::Read, 5, Ok("acme"));
        desk.check(reader.reveal(), Role::Operate, 5, Err(Closed::Role(Role::Read)));
        desk.check(reader.reveal(), Role::Call, 5, Err(Closed::Role(Role::Read)));
        let stranger = KeyText::of(&[9; RANDOM_BYTES]);
        desk.check(stranger.reveal(), Role::Call, 5, Err(Closed::Unknown));
        // A known name with another secret.
        let mut same_name = [1; RANDOM_BYTES];
        same_name[4..].fill(7);
        let forged = KeyText::of(&same_name);
        assert_eq!(forged.id(), key.id());
        desk.check(forged.reveal(), Role::Call, 5, Err(Closed::Unknown));
        desk.check("' OR 1=1 --", Role::Call, 5, Err(Closed::Text(KeyError::Form)));
    }

    #[test]
    fn a_closed_key_opens_no_more_and_the_service_still_asks_for_one() {
        let mut desk = Desk::new();
        let key = desk.make(1, Role::Call, Some(10));
        desk.check(key.reveal(), Role::Call, 10, Err(Closed::Expired));
        desk.table.close(&key.id());
        desk.check(key.reveal(), Role::Call, 5, Err(Closed::Revoked));
        // What control publishes meanwhile does not open it again.
        let other = desk.make(2, Role::Call, None);
        desk.check(key.reveal(), Role::Call, 5, Err(Closed::Revoked));
        desk.check(other.reveal(), Role::Call, 5, Ok("acme"));
        assert!(desk.table.asks());
    }

    #[test]
    fn without_its_secret_no_key_opens() {
        let mut desk = Desk::new();
        let key = desk.make(1, Role::Call, None);
        desk.table.publish(None, &desk.keys, UnixMs(0));
        desk.check(key.reveal(), Role::Call, 5, Err(Closed::Unknown));
        assert!(desk.table.asks(), "a key is still asked for");
        desk.table.publish(Some(&KeySecret::new([4; 32])), &desk.keys, UnixMs(0));
        desk.check(key.reveal(), Role::Call, 5, Err(Closed::Unknown));
    }
}
