//! Making, replacing and revoking keys.

use super::command::{Answer, KeyRequest, NewKey};
use super::error::{ControlError, KeyRefused, Result};
use super::{Control, Plane};
use crate::access::KeySecret;
use crate::clock::SPAN_MAX_MS;
use crate::secret;
use crate::view::Done;
use std::collections::BTreeMap;
use tidegate_core::access::{Grant, HeldKey, KeyId, KeyState, KeyText};
use tidegate_core::ids::{Digest, UnixMs};
use tidegate_core::journal::{ControlState, Event};

/// Longest name of a key, of its owner and its tenant, characters.
const NAME_MAX: usize = 64;
/// How long a key opens, as errors call it.
pub(crate) const LIFE: &str = "how long the key opens";

impl Control {
    pub(super) async fn make_key(&mut self, request: KeyRequest) -> Result<Answer> {
        self.check_request(&request)?;
        let now = self.clock.now();
        let (key, hash) = self.new_key(request.text.as_ref(), now)?;
        let grant = Grant {
            key: key.id(),
            name: request.name,
            hash,
            tenant: request.tenant,
            role: request.role,
            models: request.models,
            expires_at: request.lasts_ms.map(|ms| now.plus(ms)),
            priority: request.priority,
            requests_per_min: request.requests_per_min,
            tokens_per_min: request.tokens_per_min,
            concurrent: request.concurrent,
            budget_day: request.budget_day,
            budget_month: request.budget_month,
        };
        let done = Done::KeyMade { key: key.id(), name: grant.name.clone(), role: grant.role };
        self.append(vec![Event::KeyMade { grant: Box::new(grant), by: request.by }]).await?;
        Ok(Answer { new_key: Some(NewKey::of(&key)), ..Answer::of(done) })
    }

    /// What comes over the admin plane was not read by the command line.
    fn check_request(&self, request: &KeyRequest) -> Result<()> {
        for (what, name) in [("name", Some(&request.name)), ("tenant", request.tenant.as_ref())] {
            let name = name.map(String::as_str);
            if let Some(given) = name.filter(|name| !is_name(name)) {
                let given = given.chars().take(NAME_MAX).collect();
                return Err(KeyRefused::Name { what, given }.into());
            }
        }
        request.bounds().check().map_err(KeyRefused::from)?;
        if let Some(ms) = request.lasts_ms {
            check_span(LIFE, ms, 1)?;
        }
        if request.models.is_empty() {
            return Ok(());
        }
        // What clients call the service. A key without models needs no readable project.
        let project = &self.project()?.project;
        let names: Vec<_> =
            std::iter::once(&project.service).chain(&project.aliases).cloned().collect();
        match request.models.iter().find(|model| !names.contains(model)) {
            Some(model) => {
                let given = model.chars().take(NAME_MAX).collect();
                Err(KeyRefused::Model { given, names }.into())
            }
            None => Ok(()),
        }
    }

    /// Makes a successor with the same grant; the old key opens for `overlap_ms` more.
    pub(super) async fn rotate_key(
        &mut self,
        named: &str,
        text: Option<NewKey>,
        overlap_ms: u64,
        by: String,
    ) -> Result<Answer> {
        check_span("how long the old key opens", overlap_ms, 0)?;
        let now = self.clock.now();
        let old = find(&self.state, named, now)?;
        let (from, made_at, grant) = (old.grant.key.clone(), old.made_at, old.grant.clone());
        // The successor lasts as long as the old key was made for, to the second: it was journalled
        // some ms after its end was set.
        let lasts_ms = grant.expires_at.map(|at| at.since(made_at).next_multiple_of(1_000));
        let (key, hash) = self.new_key(text.as_ref(), now)?;
        let expires_at = lasts_ms.map(|ms| now.plus(ms));
        let grant = Grant { key: key.id(), hash, expires_at, ..grant };
        let until = now.plus(overlap_ms);
        let done = Done::KeyRotated { old: from.clone(), new: key.id(), until };
        self.append(vec![
            Event::KeyMade { grant: Box::new(grant), by: by.clone() },
            Event::KeyRevoked { key: from, at: until, by },
        ])
        .await?;
        Ok(Answer { new_key: Some(NewKey::of(&key)), ..Answer::of(done) })
    }

    pub(super) async fn revoke_key(&mut self, named: &str, by: String) -> Result<Answer> {
        let now = self.clock.now();
        let held = find(&self.state, named, now)?;
        let (key, name) = (held.grant.key.clone(), held.grant.name.clone());
        self.append(vec![Event::KeyRevoked { key: key.clone(), at: now, by }]).await?;
        Ok(Answer::of(Done::KeyRevoked { key, name }))
    }

    /// A new key with its hash: the given one, or random.
    fn new_key(&mut self, given: Option<&NewKey>, now: UnixMs) -> Result<(KeyText, Digest)> {
        let secret = match &self.key_secret {
            Some(secret) => secret,
            // Keys are hashed with it: were it lost, none of them would open any more.
            None if self.state.keys.values().any(|held| held.state(now) == KeyState::Live) => {
                return Err(KeyRefused::SecretLost.into());
            }
            None => {
                let made = KeySecret::kept(&self.root).map_err(ControlError::KeySecret)?;
                self.key_secret.insert(made)
            }
        };
        let key = match given {
            Some(given) => given.text().map_err(KeyRefused::from)?,
            None => KeyText::of(&secret::random().map_err(ControlError::KeySecret)?),
        };
        if self.state.keys.contains_key(&key.id()) {
            return Err(KeyRefused::Taken { key: key.id() }.into());
        }
        let hash = secret.hash(&key);
        Ok((key, hash))
    }

    /// Publishes which keys open to those who let callers in.
    pub(super) fn publish_keys(&self, plane: &Plane) {
        plane.keys.publish(self.key_secret.as_ref(), &self.state.keys, self.clock.now());
    }
}

/// The key that is meant by its id, or by the name of its owner where only one of these opens.
pub(super) fn find<'a>(
    state: &'a ControlState,
    named: &str,
    now: UnixMs,
) -> Result<&'a HeldKey, KeyRefused> {
    if let Ok(id) = KeyId::parse(named) {
        let held = state.keys.get(&id).ok_or_else(|| KeyRefused::unknown(named, state, now))?;
        return match held.state(now) {
            KeyState::Live => Ok(held),
            KeyState::Expired => Err(KeyRefused::Expired { key: id }),
            KeyState::Revoked => Err(KeyRefused::Revoked { key: id }),
        };
    }
    let live = |held: &&HeldKey| held.grant.name == named && held.state(now) == KeyState::Live;
    let found: Vec<&HeldKey> = state.keys.values().filter(live).collect();
    match found.as_slice() {
        [only] => Ok(only),
        [] => Err(KeyRefused::unknown(named, state, now)),
        several => Err(KeyRefused::Several {
            name: named.to_owned(),
            keys: several.iter().map(|held| held.grant.key.clone()).collect(),
        }),
    }
}

impl KeyRefused {
    fn unknown(given: &str, state: &ControlState, now: UnixMs) -> KeyRefused {
        let live = state.keys.values().filter(|held| held.state(now) == KeyState::Live);
        let known: BTreeMap<KeyId, String> =
            live.map(|held| (held.grant.key.clone(), held.grant.name.clone())).collect();
        // A whole key does not belong into an error.
        let given = given.chars().take(11).collect();
        KeyRefused::Unknown { given, known }
    }
}

fn check_span(what: &'static str, given_ms: u64, least_ms: u64) -> Result<(), KeyRefused> {
    match (least_ms..=SPAN_MAX_MS).contains(&given_ms) {
        true => Ok(()),
        false => Err(KeyRefused::Span { what, given_ms, least_ms }),
    }
}

/// Names are shown in tables, logs and metrics.
fn is_name(name: &str) -> bool {
    let length = name.chars().count();
    (1..=NAME_MAX).contains(&length)
        && name.chars().all(|c| c.is_alphanumeric() || "._:@/ -".contains(c))
        && name.trim() == name
        && !name.starts_with("tg-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, expected: bool) {
        assert_eq!(is_name(name), expected, "{name:?}");
    }

    #[test]
    fn names_are_words_in_any_script() {
        check("app", true);
        check("客服 web@2", true);
        check("", false);
        check(" app", false);
        check("a\nb", false);
        check("tg-0123456789", false);
        check(&"长".repeat(65), false);
    }
}
