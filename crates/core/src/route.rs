//! Route: (salt, subject, table) → arm.
//!
//! A subject is hashed with the release's salt to a number in [0, 1); it is in the candidate's
//! share when the number is below the weight. The number does not depend on the weight, so a wider
//! rung only adds subjects (who is in stays in), and another release has another salt and shuffles
//! again, so that the same people are not the guinea pigs of every release.

use crate::ids::{ChangeId, Generation, VersionSetId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// The side of a split a request goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// The version set that was there before.
    Stable,
    /// The version set that is being released.
    Candidate,
}

impl Arm {
    /// The arm's name in headers and output.
    pub fn as_str(self) -> &'static str {
        match self {
            Arm::Stable => "stable",
            Arm::Candidate => "candidate",
        }
    }
}

/// A share of traffic, 0 to 100 %, in hundredths of a percent so that it compares exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Weight(u16);

impl Weight {
    /// No traffic.
    pub const ZERO: Weight = Weight(0);
    /// All traffic.
    pub const FULL: Weight = Weight(10_000);

    /// From percent, 0 to 100, kept to two decimals.
    pub fn from_pct(pct: f64) -> Option<Weight> {
        let hundredths = (pct * 100.0).round();
        // NaN fails both comparisons and gives None.
        (0.0..=10_000.0).contains(&hundredths).then_some(Weight(hundredths as u16))
    }

    /// What is left of 100 %.
    pub fn rest(self) -> Weight {
        Weight(Weight::FULL.0 - self.0)
    }

    /// In percent, 0 to 100.
    pub fn pct(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    /// As a fraction, 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl std::fmt::Display for Weight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} %", self.pct())
    }
}

impl Serialize for Weight {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.pct())
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pct = f64::deserialize(deserializer)?;
        Weight::from_pct(pct).ok_or_else(|| {
            serde::de::Error::custom(format!("weight {pct} is not within 0 and 100"))
        })
    }
}

/// One of [`Cohort::COUNT`] groups that subjects are hashed into, evenly and independently of the
/// arm: the differences between cohorts show how alike the requests of one subject are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Cohort(u8);

impl<'de> Deserialize<'de> for Cohort {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(Cohort::new)
    }
}

impl Cohort {
    /// How many there are. The error of a variance from so many groups is about 18 %; each costs a
    /// few hundred bytes of memory an arm.
    pub const COUNT: usize = 64;

    /// The cohort of this number; numbers wrap.
    pub fn new(number: u8) -> Cohort {
        Cohort(number % Cohort::COUNT as u8)
    }

    /// Its number, below [`Cohort::COUNT`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Which subjects may be on the candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Audience {
    /// A share of users. A request that names none goes by its conversation, then by its key and
    /// its tenant; one that has nothing of these stays with stable.
    Users,
    /// Only these users, whatever the weight's share of them.
    AllowList {
        /// Names as requests give them in `user`.
        users: BTreeSet<String>,
    },
    /// A share of tenants: everyone of a tenant sees the same arm.
    Tenants,
    /// A share of keys: every request with a key sees the same arm.
    Keys,
}

/// Who calls, as far as routing needs it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject<'a> {
    /// The end user, from the request.
    pub user: Option<&'a str>,
    /// How its conversation begins; read where no user is named.
    pub conversation: Option<&'a str>,
    /// The tenant, from the credential.
    pub tenant: Option<&'a str>,
    /// A stable name of the credential (never the secret).
    pub key: Option<&'a str>,
}

/// The candidate's side of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The release this split belongs to.
    pub change_id: ChangeId,
    /// The candidate's version set.
    pub candidate: VersionSetId,
    /// Share of subjects that see the candidate.
    pub weight: Weight,
    /// Salt of the release.
    pub salt: String,
    /// Which subjects may be on the candidate.
    pub audience: Audience,
}

/// Whether the service takes requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Entrance {
    /// It does.
    Open,
    /// It was shut after a black signal; an operator opens it again.
    Closed {
        /// Shown in the error that clients get, and in `status`.
        reason: String,
    },
}

/// The route table of a service: immutable, swapped whole, numbered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// The table's number.
    pub generation: Generation,
    /// The version set that carries the rest.
    pub stable: VersionSetId,
    /// The candidate's share, while a release runs.
    pub split: Option<Split>,
    /// Whether requests are taken.
    pub entrance: Entrance,
}

impl Table {
    /// The first table of a service.
    pub fn first(stable: VersionSetId) -> Table {
        Table { generation: Generation(1), stable, split: None, entrance: Entrance::Open }
    }

    /// The arm this subject sees. Where there is nothing to be sticky by, the request stays with
    /// stable, except at full weight.
    pub fn arm(&self, subject: &Subject<'_>) -> Arm {
        self.place(subject).0
    }

    /// [`Table::arm`] and the subject's cohort, where there is a subject and a split.
    pub fn place(&self, subject: &Subject<'_>) -> (Arm, Option<Cohort>) {
        let Some(split) = &self.split else { return (Arm::Stable, None) };
        let name = match &split.audience {
            Audience::AllowList { .. } => subject.user,
            Audience::Users => {
                subject.user.or(subject.conversation).or(subject.key).or(subject.tenant)
            }
            Audience::Tenants => subject.tenant,
            Audience::Keys => subject.key,
        };
        let place = name.map(|name| place(&split.salt, name));
        let full = split.weight == Weight::FULL;
        let inside = match (&split.audience, place) {
            _ if split.weight == Weight::ZERO => false,
            (Audience::AllowList { users }, _) => {
                full || subject.user.is_some_and(|user| users.contains(user))
            }
            (Audience::Users | Audience::Tenants | Audience::Keys, Some((position, _))) => {
                position < split.weight.fraction()
            }
            (Audience::Users | Audience::Tenants | Audience::Keys, None) => full,
        };
        let arm = if inside { Arm::Candidate } else { Arm::Stable };
        (arm, place.map(|(_, cohort)| cohort))
    }

    /// The version set behind an arm; stable's when there is no candidate.
    pub fn set(&self, arm: Arm) -> &VersionSetId {
        match (arm, &self.split) {
            (Arm::Candidate, Some(split)) => &split.candidate,
            _ => &self.stable,
        }
    }
}

/// The place of a subject in [0, 1) for a salt: the first 32 bits of SHA-256 over both.
pub fn position(salt: &str, subject: &str) -> f64 {
    place(salt, subject).0
}

/// The position, and the cohort from bits that the position does not use.
fn place(salt: &str, subject: &str) -> (f64, Cohort) {
    let mut hasher = Sha256::new();
    hasher.update((salt.len() as u64).to_le_bytes());
    hasher.update(salt.as_bytes());
    hasher.update(subject.as_bytes());
    let hash = hasher.finalize();
    let high = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    (f64::from(high) / 4_294_967_296.0, Cohort::new(hash[4]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(pct: f64, salt: &str, audience: Audience) -> Table {
        let mut table = Table::first(VersionSetId::parse("vs-000000000000").unwrap());
        table.split = Some(Split {
            change_id: ChangeId::parse("prompt-v3-a1b2c").unwrap(),
            candidate: VersionSetId::parse("vs-111111111111").unwrap(),
            weight: Weight::from_pct(pct).unwrap(),
            salt: salt.to_owned(),
            audience,
        });
        table
    }

    fn user(name: &str) -> Subject<'_> {
        Subject { user: Some(name), ..Subject::default() }
    }

    #[test]
    fn shares_come_out_as_asked() {
        let table = table(5.0, "salt", Audience::Users);
        let inside =
            (0..20_000).filter(|i| table.arm(&user(&format!("用户{i}"))) == Arm::Candidate).count();
        // 5 % of 20,000 is 1,000; the standard deviation is 31.
        assert!((880..1120).contains(&inside), "{inside}");
    }

    proptest! {
        /// Invariant 8: a subject sees one arm for the life of a release; rungs only widen.
        #[test]
        fn inv8_sticky_and_monotone(name in ".{1,40}", salt in "[a-z]{4}", a in 0u32..=100, b in 0u32..=100) {
            let (low, high) = (f64::from(a.min(b)), f64::from(a.max(b)));
            let at = |pct| table(pct, &salt, Audience::Users).arm(&user(&name));
            if at(low) == Arm::Candidate {
                prop_assert_eq!(at(high), Arm::Candidate);
            }
            prop_assert_eq!(at(0.0), Arm::Stable);
            prop_assert_eq!(at(100.0), Arm::Candidate);
        }
    }

    #[test]
    fn inv8_another_release_shuffles_anew() {
        let share = |salt: &str| -> Vec<bool> {
            let table = table(50.0, salt, Audience::Users);
            (0..1000).map(|i| table.arm(&user(&i.to_string())) == Arm::Candidate).collect()
        };
        let same = share("a").iter().zip(share("b")).filter(|(x, y)| **x == *y).count();
        assert!((400..600).contains(&same), "{same}");
    }

    #[test]
    fn audiences() {
        let listed = Audience::AllowList { users: BTreeSet::from(["mei".to_owned()]) };
        assert_eq!(table(5.0, "s", listed.clone()).arm(&user("mei")), Arm::Candidate);
        assert_eq!(table(5.0, "s", listed.clone()).arm(&user("bob")), Arm::Stable);
        assert_eq!(table(100.0, "s", listed).arm(&user("bob")), Arm::Candidate);
        let tenants = table(50.0, "s", Audience::Tenants);
        let of = |user: &'static str| Subject {
            user: Some(user),
            tenant: Some("acme"),
            ..Subject::default()
        };
        assert_eq!(tenants.arm(&of("a")), tenants.arm(&of("b")));
        assert_eq!(table(99.0, "s", Audience::Users).arm(&Subject::default()), Arm::Stable);
    }

    #[test]
    fn without_a_user_a_conversation_sees_one_arm_whatever_its_key() {
        let table = table(50.0, "s", Audience::Users);
        fn of<'a>(conversation: Option<&'a str>, key: Option<&'a str>) -> Subject<'a> {
            Subject { conversation, key, ..Subject::default() }
        }
        let arms: Vec<Arm> = (0..200)
            .map(|i| {
                let head = format!("head {i}");
                let (one, other) = (of(Some(&*head), Some("a")), of(Some(&*head), Some("b")));
                assert_eq!(table.place(&one), table.place(&other));
                let named = Subject { user: Some("mei"), ..one };
                assert_eq!(table.place(&named), table.place(&user("mei")));
                table.arm(&one)
            })
            .collect();
        let candidates = arms.iter().filter(|arm| **arm == Arm::Candidate).count();
        assert!((70..130).contains(&candidates), "{candidates}");
        let keyed = Subject { key: Some("app"), ..Subject::default() };
        assert_eq!(table.place(&of(None, Some("app"))), table.place(&keyed));
    }

    #[test]
    fn an_audience_of_keys_goes_by_the_key_alone() {
        let table = table(50.0, "s", Audience::Keys);
        let of = |user, key| Subject { user, key, ..Subject::default() };
        for key in ["a", "b", "c", "d"] {
            assert_eq!(
                table.place(&of(Some("mei"), Some(key))),
                table.place(&of(Some("bo"), Some(key)))
            );
        }
        assert_eq!(table.place(&of(Some("mei"), None)), (Arm::Stable, None));
    }

    #[test]
    fn a_weight_is_within_0_and_100() {
        assert_eq!(Weight::from_pct(0.5).map(Weight::pct), Some(0.5));
        for bad in [-1.0, 100.01, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::from_pct(bad), None);
        }
    }
}
