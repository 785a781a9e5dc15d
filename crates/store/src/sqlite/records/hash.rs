//! Short names for traces, tenants and subjects. The key is the state's own, so that no client can
//! make ids that share a name and fill another tenant's lookups with them.

use crate::error::{Result, StoreError, StoreErrorKind as Kind};
use rusqlite::{Connection, OptionalExtension as _};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};

/// Where the key is kept in `meta`, as 32 hex digits.
const KEY: &str = "record_key";

/// Makes names of a state's traces, tenants and subjects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    key: (u64, u64),
}

/// What a trace is looked up by. The order is that of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// Of the trace's id.
    pub(super) trace: u32,
    /// Of the tenant.
    pub(super) tenant: u16,
}

impl Name {
    /// Bytes of a name where it is stored.
    pub(super) const BYTES: usize = 6;

    pub(super) fn to_bytes(self) -> [u8; Name::BYTES] {
        let ([a, b, c, d], [e, f]) = (self.trace.to_be_bytes(), self.tenant.to_be_bytes());
        [a, b, c, d, e, f]
    }

    pub(super) fn of_bytes([a, b, c, d, e, f]: [u8; Name::BYTES]) -> Name {
        let (trace, tenant) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
        Name { trace, tenant }
    }
}

impl Names {
    /// By the state's key.
    pub(super) fn of(db: &Connection) -> Result<Names> {
        let kept: Option<String> = db
            .prepare_cached("SELECT value FROM meta WHERE key = ?1")
            .and_then(|mut select| select.query_row([KEY], |row| row.get(0)).optional())
            .map_err(|e| super::super::row::unreadable(&e))?;
        let half = |text: Option<&str>| u64::from_str_radix(text?, 16).ok();
        kept.as_deref()
            .and_then(|key| Some(Names { key: (half(key.get(..16))?, half(key.get(16..))?) }))
            .ok_or_else(|| {
                StoreError::new(
                    Kind::Damaged,
                    "state is damaged: the key of its records is missing",
                )
                .hint("take `.tidegate/` from a backup")
            })
    }

    /// What the record of a trace is found by.
    pub(super) fn name(&self, tenant: Option<&str>, trace: &str) -> Name {
        Name { trace: self.trace(trace), tenant: self.tenant(tenant) }
    }

    /// Of the trace alone.
    #[expect(clippy::cast_possible_truncation, reason = "any 32 bits of a hash are one")]
    pub(super) fn trace(&self, trace: &str) -> u32 {
        self.hash(&[b"i", trace.as_bytes()]) as u32
    }

    /// Of the tenant alone; without one, of the empty name, which no tenant has.
    #[expect(clippy::cast_possible_truncation, reason = "any 16 bits of a hash are one")]
    pub(super) fn tenant(&self, tenant: Option<&str>) -> u16 {
        self.hash(&[b"t", tenant.unwrap_or_default().as_bytes()]) as u16
    }

    /// Whose request it was: the user of a tenant; else the tenant; else it counts by itself.
    pub(super) fn subject(&self, user: Option<&str>, tenant: Option<&str>, trace: &str) -> u64 {
        let tenant_bytes = tenant.unwrap_or_default().as_bytes();
        match (user, tenant) {
            // The length keeps tenant and user apart, so that no two subjects share a name.
            (Some(user), _) => {
                let length = (tenant_bytes.len() as u64).to_be_bytes();
                self.hash(&[b"u", &length, tenant_bytes, user.as_bytes()])
            }
            (None, Some(_)) => self.hash(&[b"o", tenant_bytes]),
            (None, None) => self.hash(&[b"r", trace.as_bytes()]),
        }
    }

    #[expect(deprecated, reason = "the one hasher of std whose algorithm (SipHash 2-4) is fixed")]
    fn hash(&self, parts: &[&[u8]]) -> u64 {
        let mut hasher = std::hash::SipHasher::new_with_keys(self.key.0, self.key.1);
        for part in parts {
            hasher.write(part);
        }
        hasher.finish()
    }
}

/// Makes the state's key, where it has none.
pub(in super::super) fn make_key(db: &Connection) -> rusqlite::Result<()> {
    // Each `RandomState` has other keys, seeded by the system's randomness.
    let random = || RandomState::new().hash_one(0u8);
    let key = format!("{:016x}{:016x}", random(), random());
    db.execute("INSERT OR IGNORE INTO meta(key, value) VALUES (?1, ?2)", [KEY, &key]).map(|_| ())
}
