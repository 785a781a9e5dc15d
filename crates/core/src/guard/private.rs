//! Personal data and secrets in an answer: certain where the form proves what it is, a rate where
//! it does not, and neither where the request held it.

use super::said::{Heard, Said};
use super::{Findings, RiskEvent, RiskKind};
use crate::text::{PrivateKind, find_private, folded, unescaped};
use std::borrow::Cow;
use std::collections::BTreeSet;

pub(super) fn look<'h>(said: &Said<'_>, heard: impl Fn() -> Heard<'h>, findings: &mut Findings) {
    let mut found: Vec<(PrivateKind, String)> = Vec::new();
    for text in said.all() {
        // What is escaped in JSON is plain again for whoever reads the answer.
        for text in
            [Some(Cow::Borrowed(text)), unescaped(text).map(Cow::Owned)].into_iter().flatten()
        {
            let pieces = find_private(&text).into_iter();
            found.extend(pieces.map(|piece| (piece.kind, squeezed(&text[piece.range]))));
        }
    }
    if found.is_empty() {
        return;
    }
    findings.has_private = true;
    let known = Known::of(&heard());
    let mut certain = BTreeSet::new();
    for (kind, value) in found {
        if known.holds_squeezed(kind, &value) {
            continue;
        }
        findings.gives_away = true;
        certain.extend(certain_kind(kind));
    }
    findings.events.extend(certain.into_iter().map(RiskEvent::from));
}

/// What a request said, as far as it matters whether an answer only repeats it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    client: Vec<String>,
    system: Vec<String>,
}

impl Known {
    /// Of a request.
    pub fn of(heard: &Heard<'_>) -> Known {
        let squeeze = |texts: &[Cow<'_, str>]| -> Vec<String> {
            texts.iter().map(|text| squeezed(text)).collect()
        };
        Known { client: squeeze(&heard.client), system: squeeze(&heard.system) }
    }

    /// Whether the request held a value, however it is grouped.
    pub fn holds(&self, kind: PrivateKind, value: &str) -> bool {
        self.holds_squeezed(kind, &squeezed(value))
    }

    fn holds_squeezed(&self, kind: PrivateKind, value: &str) -> bool {
        let holds = |texts: &[String]| texts.iter().any(|text| text.contains(value));
        // A key that the application wrote into its own prompt is given away all the same.
        let is_secret = matches!(kind, PrivateKind::Key | PrivateKind::Password);
        holds(&self.client) || (!is_secret && holds(&self.system))
    }
}

/// The red line that something is which its own form proves; `None` for what is likely only.
fn certain_kind(kind: PrivateKind) -> Option<SeenPrivate> {
    match kind {
        PrivateKind::Key => Some(SeenPrivate::Key),
        PrivateKind::Card => Some(SeenPrivate::Card),
        PrivateKind::Id => Some(SeenPrivate::Id),
        PrivateKind::Password
        | PrivateKind::Iban
        | PrivateKind::Email
        | PrivateKind::Phone
        | PrivateKind::Number => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SeenPrivate {
    Key,
    Card,
    Id,
}

impl From<SeenPrivate> for RiskEvent {
    fn from(seen: SeenPrivate) -> RiskEvent {
        let (kind, detail) = match seen {
            SeenPrivate::Key => (RiskKind::Secret, "an API key, token or private key"),
            SeenPrivate::Card => (RiskKind::Identity, "a payment card's number"),
            SeenPrivate::Id => (RiskKind::Identity, "an identity number"),
        };
        RiskEvent { kind, detail: detail.to_owned() }
    }
}

/// Letters and digits alone: `4111 1111` and `41-11 1111` are the same.
fn squeezed(text: &str) -> String {
    let mut folded = folded(text);
    folded.retain(char::is_alphanumeric);
    folded
}
