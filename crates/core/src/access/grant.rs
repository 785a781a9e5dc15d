//! What the owner of a key may do, and whether the key still opens.

use super::bounds::Bounds;
use super::key::KeyId;
use super::priority::Priority;
use crate::ids::{Digest, UnixMs};
use crate::money::Money;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What a key is for. A key that calls opens nothing of the admin plane, and a key of the admin
/// plane cannot call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Asks the model.
    Call,
    /// Reads releases, incidents and records.
    Read,
    /// Reads, and gives orders: start, promote, pause, roll back.
    Operate,
    /// Operates, and makes and revokes keys.
    Admin,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Role; 4] = [Role::Call, Role::Read, Role::Operate, Role::Admin];

    /// The name, as it is written and stored.
    pub fn name(self) -> &'static str {
        match self {
            Role::Call => "call",
            Role::Read => "read",
            Role::Operate => "operate",
            Role::Admin => "admin",
        }
    }

    /// Whether who has this role may do what needs `needed`.
    pub fn covers(self, needed: Role) -> bool {
        match needed {
            Role::Call => self == Role::Call,
            Role::Read => matches!(self, Role::Read | Role::Operate | Role::Admin),
            Role::Operate => matches!(self, Role::Operate | Role::Admin),
            Role::Admin => self == Role::Admin,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a key's owner may do. The key itself is not in it: only its keyed hash is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What the key is looked up by.
    pub key: KeyId,
    /// Whose it is, for people, logs and records; keys of one name follow each other.
    pub name: String,
    /// HMAC-SHA-256 of the whole key under the state's secret.
    pub hash: Digest,
    /// The tenant it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What it is for.
    pub role: Role,
    /// The names of the service that its owner may ask for; empty for all of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub models: BTreeSet<String>,
    /// When it stops opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMs>,
    /// Whose requests go before whose; absent for that of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Most requests in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_min: Option<u64>,
    /// Most tokens in a minute, of prompts and answers together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_min: Option<u64>,
    /// Most requests at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<u32>,
    /// Most money in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_day: Option<Money>,
    /// Most money in a calendar month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_month: Option<Money>,
}

impl Grant {
    /// Whether its owner may ask for the service by this name.
    pub fn may_ask(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.contains(model)
    }

    /// How much its owner may use.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            requests_per_min: self.requests_per_min,
            tokens_per_min: self.tokens_per_min,
            concurrent: self.concurrent,
            budget_day: self.budget_day,
            budget_month: self.budget_month,
        }
    }
}

/// A key that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldKey {
    /// What it may do.
    pub grant: Grant,
    /// When it was made.
    pub made_at: UnixMs,
    /// Who made it.
    pub made_by: String,
    /// When it was revoked, and who revoked it; a rotation sets a time that lies ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<(UnixMs, String)>,
}

/// Whether a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It does.
    Live,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
}

impl HeldKey {
    /// A key that was just made.
    pub fn new(grant: Grant, at: UnixMs, by: &str) -> HeldKey {
        HeldKey { grant, made_at: at, made_by: by.to_owned(), revoked: None }
    }

    /// It opens no more from a moment on; an earlier one stays.
    pub fn revoke(&mut self, at: UnixMs, by: &str) {
        if self.revoked.as_ref().is_none_or(|(before, _)| at < *before) {
            self.revoked = Some((at, by.to_owned()));
        }
    }

    /// Whether it opens now.
    pub fn state(&self, now: UnixMs) -> KeyState {
        let revoked_at = self.revoked.as_ref().map(|(at, _)| *at);
        KeyState::at(now, revoked_at, self.grant.expires_at)
    }
}

impl KeyState {
    /// Whether a key opens at a moment, by the moments that end it.
    pub fn at(now: UnixMs, revoked_at: Option<UnixMs>, expires_at: Option<UnixMs>) -> KeyState {
        if revoked_at.is_some_and(|at| now >= at) {
            KeyState::Revoked
        } else if expires_at.is_some_and(|at| now >= at) {
            KeyState::Expired
        } else {
            KeyState::Live
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::key::{KeyText, RANDOM_BYTES};

    fn held(expires_at: Option<u64>, revoked: Option<u64>) -> HeldKey {
        let key = KeyText::of(&[1; RANDOM_BYTES]);
        let grant = Grant {
            key: key.id(),
            name: "app".to_owned(),
            hash: Digest::of(key.reveal().as_bytes()),
            tenant: None,
            role: Role::Call,
            models: BTreeSet::new(),
            expires_at: expires_at.map(UnixMs),
            priority: None,
            requests_per_min: None,
            tokens_per_min: None,
            concurrent: None,
            budget_day: None,
            budget_month: None,
        };
        let mut held = HeldKey::new(grant, UnixMs(0), "alice");
        if let Some(at) = revoked {
            held.revoke(UnixMs(at + 1), "bob");
            held.revoke(UnixMs(at), "carol");
            held.revoke(UnixMs(at + 2), "dave");
        }
        held
    }

    fn check(expires_at: Option<u64>, revoked: Option<u64>, now: u64, expected: KeyState) {
        assert_eq!(held(expires_at, revoked).state(UnixMs(now)), expected);
    }

    #[test]
    fn a_key_opens_until_it_is_revoked_or_its_time_is_over() {
        check(None, None, u64::MAX, KeyState::Live);
        check(Some(10), None, 9, KeyState::Live);
        check(Some(10), None, 10, KeyState::Expired);
        check(Some(10), Some(5), 4, KeyState::Live);
        check(Some(10), Some(5), 5, KeyState::Revoked);
        check(Some(10), Some(5), 11, KeyState::Revoked);
    }

    #[test]
    fn a_key_without_models_asks_for_all_and_one_with_models_for_these_alone() {
        let mut grant = held(None, None).grant;
        assert!(grant.may_ask("desk") && grant.may_ask(""));
        grant.models.insert("desk".to_owned());
        assert!(grant.may_ask("desk"));
        assert!(!grant.may_ask("Desk") && !grant.may_ask("desk ") && !grant.may_ask(""));
        // Keys that were journalled before have none of them.
        let text = serde_json::to_string(&held(None, None).grant).unwrap();
        assert!(!text.contains("models"), "{text}");
    }

    #[test]
    fn a_role_covers_those_below_it_and_never_the_other_plane() {
        for (role, covered) in [
            (Role::Call, vec![Role::Call]),
            (Role::Read, vec![Role::Read]),
            (Role::Operate, vec![Role::Read, Role::Operate]),
            (Role::Admin, vec![Role::Read, Role::Operate, Role::Admin]),
        ] {
            let found: Vec<Role> =
                Role::ALL.into_iter().filter(|needed| role.covers(*needed)).collect();
            assert_eq!(found, covered);
        }
    }
}
