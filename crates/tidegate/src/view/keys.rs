//! Keys as people see them: all but what they are hashed to.

use super::moment::moment;
use crate::lang::Lang;
use crate::output::{Tone, aligned, paint};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tidegate_core::access::{Grant, HeldKey, KeyId, KeyState, Ledger, Period, Priority, Role};
use tidegate_core::ids::UnixMs;
use tidegate_core::money::Money;

/// A key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeyAnswer {
    name: String,
    tenant: Option<String>,
    role: Role,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    models: BTreeSet<String>,
    made_at: UnixMs,
    made_by: String,
    expires_at: Option<UnixMs>,
    revoked_at: Option<UnixMs>,
    revoked_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<Priority>,
    requests_per_min: Option<u64>,
    tokens_per_min: Option<u64>,
    concurrent: Option<u32>,
    #[serde(default)]
    budget_day: Option<Money>,
    #[serde(default)]
    budget_month: Option<Money>,
    /// Spent or promised today; absent where no server runs.
    #[serde(default)]
    spent_day: Option<Money>,
    /// The same of this month.
    #[serde(default)]
    spent_month: Option<Money>,
}

impl From<HeldKey> for KeyAnswer {
    fn from(held: HeldKey) -> KeyAnswer {
        let HeldKey { grant, made_at, made_by, revoked } = held;
        let Grant {
            key: _,
            name,
            hash: _,
            tenant,
            role,
            models,
            expires_at,
            priority,
            requests_per_min,
            tokens_per_min,
            concurrent,
            budget_day,
            budget_month,
        } = grant;
        let (revoked_at, revoked_by) = revoked.unzip();
        KeyAnswer {
            name,
            tenant,
            role,
            models,
            made_at,
            made_by,
            expires_at,
            revoked_at,
            revoked_by,
            priority,
            requests_per_min,
            tokens_per_min,
            concurrent,
            budget_day,
            budget_month,
            spent_day: None,
            spent_month: None,
        }
    }
}

impl KeyAnswer {
    /// The tenant it belongs to.
    pub(crate) fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The same with what was spent of its budgets.
    pub(crate) fn spent(mut self, ledgers: &[Ledger]) -> KeyAnswer {
        for ledger in ledgers {
            match ledger.budget().period {
                Period::Day => self.spent_day = Some(ledger.gone()),
                Period::Month => self.spent_month = Some(ledger.gone()),
            }
        }
        self
    }

    fn state(&self, now: UnixMs) -> KeyState {
        KeyState::at(now, self.revoked_at, self.expires_at)
    }

    /// Until when it opens, where an end is known; and what it is after that.
    fn life(&self, now: UnixMs, words: &KeyWords) -> String {
        let end = self.revoked_at.into_iter().chain(self.expires_at).min();
        match (self.state(now), end) {
            (KeyState::Live, None) => words.live.to_owned(),
            (KeyState::Live, Some(end)) => format!("{} {}", words.until, moment(end)),
            (KeyState::Revoked, _) => words.revoked.to_owned(),
            (KeyState::Expired, _) => words.expired.to_owned(),
        }
    }

    fn bounds(&self, words: &KeyWords) -> String {
        let models = self.models.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let parts = [
            (!models.is_empty()).then(|| format!("{} {}", words.only, models.join(", "))),
            self.priority.map(|priority| format!("{} {priority}", words.priority)),
            self.requests_per_min.map(|n| format!("{n} {}", words.requests)),
            self.tokens_per_min.map(|n| format!("{n} {}", words.tokens)),
            self.concurrent.map(|n| format!("{n} {}", words.concurrent)),
            money(self.spent_day, self.budget_day, words.day),
            money(self.spent_month, self.budget_month, words.month),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// A budget with what was spent of it: `$0.25/5.00 a day`.
fn money(spent: Option<Money>, budget: Option<Money>, period: &str) -> Option<String> {
    let budget = budget?;
    let spent = spent.map(|spent| format!("{spent}/")).unwrap_or_default();
    Some(format!("${spent}{budget} {period}"))
}

/// The words of the table.
struct KeyWords {
    none: &'static str,
    columns: [&'static str; 6],
    live: &'static str,
    until: &'static str,
    revoked: &'static str,
    expired: &'static str,
    only: &'static str,
    priority: &'static str,
    requests: &'static str,
    tokens: &'static str,
    concurrent: &'static str,
    day: &'static str,
    month: &'static str,
}

impl KeyWords {
    fn of(lang: Lang) -> &'static KeyWords {
        match lang {
            Lang::En => &EN,
            Lang::Zh => &ZH,
            Lang::Ja => &JA,
        }
    }
}

static EN: KeyWords = KeyWords {
    none: "no key has been made; `tidegate key create NAME` makes one",
    columns: ["key", "name", "tenant", "role", "opens", "at most"],
    live: "yes",
    until: "until",
    revoked: "revoked",
    expired: "expired",
    only: "only",
    priority: "priority",
    requests: "requests/min",
    tokens: "tokens/min",
    concurrent: "at a time",
    day: "a day",
    month: "a month",
};

static ZH: KeyWords = KeyWords {
    none: "还没有密钥；用 `tidegate key create NAME` 创建",
    columns: ["密钥", "名称", "租户", "角色", "可用", "上限"],
    live: "是",
    until: "到",
    revoked: "已吊销",
    expired: "已过期",
    only: "仅",
    priority: "优先级",
    requests: "请求/分钟",
    tokens: "token/分钟",
    concurrent: "并发",
    day: "每天",
    month: "每月",
};

static JA: KeyWords = KeyWords {
    none: "鍵はまだない。`tidegate key create NAME` で作る",
    columns: ["鍵", "名前", "テナント", "役割", "有効", "上限"],
    live: "はい",
    until: "期限",
    revoked: "失効",
    expired: "期限切れ",
    only: "のみ:",
    priority: "優先度",
    requests: "リクエスト/分",
    tokens: "トークン/分",
    concurrent: "同時",
    day: "1 日",
    month: "1 か月",
};

/// What is said beside a new key.
pub(crate) fn shown_once(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "keep it now: only its hash is stored, and it is never shown again",
        Lang::Zh => "请现在保存：系统只存它的哈希，以后不会再显示",
        Lang::Ja => "今すぐ控えること：保存されるのはハッシュだけで、二度と表示されない",
    }
}

/// The keys, one a line, those that open first.
pub(crate) fn keys(lang: Lang, keys: &BTreeMap<KeyId, KeyAnswer>, now: UnixMs) -> Vec<String> {
    let words = KeyWords::of(lang);
    if keys.is_empty() {
        return vec![words.none.to_owned()];
    }
    let is_dead = |key: &KeyAnswer| key.state(now) != KeyState::Live;
    let mut sorted: Vec<(&KeyId, &KeyAnswer)> = keys.iter().collect();
    sorted.sort_by_key(|(_, key)| (is_dead(key), &key.name, key.made_at));
    let mut rows = vec![words.columns.map(str::to_owned)];
    rows.extend(sorted.iter().map(|(id, key)| {
        [
            id.to_string(),
            key.name.clone(),
            key.tenant.clone().unwrap_or_else(|| "–".to_owned()),
            key.role.to_string(),
            key.life(now, words),
            key.bounds(words),
        ]
    }));
    let dead = std::iter::once(true).chain(sorted.iter().map(|(_, key)| is_dead(key)));
    let lines = aligned(&rows, usize::MAX).into_iter().zip(dead);
    lines.map(|(line, dim)| if dim { paint(Tone::Dim, &line) } else { line }).collect()
}
