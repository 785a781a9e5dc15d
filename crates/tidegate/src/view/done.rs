//! What a command did. The admin plane answers with a code and its numbers; the sentence is made
//! where it is read, in the reader's language.

use super::degrade::degraded;
use super::live_ab::{ab_ended, ab_started};
use super::moment::moment;
use super::sentinel::{accepted, kept};
use super::shadow::{shadow_ended, shadow_started};
use crate::lang::Lang;
use serde::{Deserialize, Serialize};
use tidegate_core::access::{KeyId, Role};
use tidegate_core::calendar::Day;
use tidegate_core::decide::{AbPlan, Phase};
use tidegate_core::degrade::{DegradeLevel, Lack};
use tidegate_core::drift::DriftVerdict;
use tidegate_core::ids::{ChangeId, IncidentId, UnixMs, VersionSetId};
use tidegate_core::route::Weight;
use tidegate_core::shadow::{ShadowVerdict, Used};

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub(crate) enum Done {
    /// Files were packed.
    Packed {
        /// The set.
        set: VersionSetId,
        /// Its label.
        label: String,
    },
    /// An eval run is kept.
    EvalKept {
        /// Why the service is no experiment any more, in English, where that is new.
        released: Option<String>,
    },
    /// A version set is approved.
    Approved {
        /// The set.
        set: VersionSetId,
        /// Who approved it.
        by: String,
    },
    /// A release began.
    Started {
        /// The release.
        change_id: ChangeId,
        /// The candidate's label.
        label: String,
        /// Its share.
        weight: Weight,
    },
    /// An A/B test began.
    AbStarted {
        /// Its release.
        change_id: ChangeId,
        /// The candidate's label.
        label: String,
        /// Names, metrics and end.
        ab: AbPlan,
        /// The candidate's share.
        weight: Weight,
    },
    /// An A/B test is over.
    AbEnded {
        /// Its release.
        change_id: ChangeId,
        /// The set that serves everyone.
        stable: Option<VersionSetId>,
    },
    /// A release was rolled back.
    RolledBack {
        /// The release.
        change_id: ChangeId,
        /// The set that serves everyone.
        stable: Option<VersionSetId>,
    },
    /// A release was paused, resumed or promoted.
    Moved {
        /// The release.
        change_id: ChangeId,
        /// What it is in now.
        phase: Option<Phase>,
        /// The candidate's share; `None` when it has none.
        weight: Option<Weight>,
        /// Whether the order changed nothing.
        still: bool,
    },
    /// The entrance is open.
    Opened,
    /// The service is degraded, or no more.
    Degraded {
        /// How much is switched off.
        level: Option<DegradeLevel>,
        /// What the level needs and the project does not have.
        lacks: Vec<Lack>,
        /// The release that is paused with it, or is still paused.
        paused: Option<ChangeId>,
    },
    /// A shadow began.
    ShadowStarted {
        /// The set that is mirrored to.
        set: VersionSetId,
        /// Its label.
        label: String,
        /// Its caps.
        most: Used,
        /// When it ends at the latest.
        ends_at: UnixMs,
    },
    /// A shadow is over.
    ShadowEnded {
        /// The set that was mirrored to.
        set: VersionSetId,
        /// What it found.
        verdict: ShadowVerdict,
        /// Pairs.
        pairs: u64,
    },
    /// An incident is closed.
    Closed {
        /// The incident.
        incident: IncidentId,
    },
    /// A key was made.
    KeyMade {
        /// Its id.
        key: KeyId,
        /// Whose it is.
        name: String,
        /// What it is for.
        role: Role,
    },
    /// A key has a successor.
    KeyRotated {
        /// The old one.
        old: KeyId,
        /// The new one.
        new: KeyId,
        /// When the old one stops opening.
        until: UnixMs,
    },
    /// A key opens no more.
    KeyRevoked {
        /// Its id.
        key: KeyId,
        /// Whose it was.
        name: String,
    },
    /// The books have more lines.
    Booked {
        /// How many.
        lines: usize,
    },
    /// The books have other prices.
    Repriced {
        /// From this day on.
        from: Day,
        /// What they said before, US dollars.
        before: String,
        /// What they say now.
        after: String,
    },
    /// Records were deleted.
    RecordsDeleted {
        /// How many.
        records: u64,
    },
    /// A run of the fixed cases is kept.
    SentinelKept {
        /// What it says; absent where it is the reference from now on.
        verdict: Option<DriftVerdict>,
        /// The incident that is open.
        incident: Option<IncidentId>,
    },
    /// A change of the model is accepted.
    SentinelAccepted {
        /// The run that found it.
        run_id: String,
        /// The incident that is closed.
        incident: Option<IncidentId>,
    },
    /// An evidence pack is written.
    PackWritten {
        /// Its folder, relative to the project.
        path: String,
    },
}

impl Done {
    /// The sentence. `unwritten` is why what was done is not on disk yet.
    pub(crate) fn sentence(&self, lang: Lang, unwritten: Option<&str>) -> String {
        let text = match lang {
            Lang::En => self.english(),
            Lang::Zh => self.chinese(),
            Lang::Ja => self.japanese(),
        };
        match (unwritten, lang) {
            (None, _) => text,
            (Some(why), Lang::En) => format!("{text}; not yet written to disk: {why}"),
            (Some(why), Lang::Zh) => format!("{text}；还没有写到磁盘：{why}"),
            (Some(why), Lang::Ja) => format!("{text}。まだディスクに書かれていない：{why}"),
        }
    }

    fn english(&self) -> String {
        match self {
            Done::Packed { set, label } => format!("packed {set} ({label})"),
            Done::EvalKept { released: None } => "the eval run is kept".to_owned(),
            Done::EvalKept { released: Some(note) } => format!("the eval run is kept; {note}"),
            Done::Approved { set, by } => format!("{set} is approved by {by}"),
            Done::Started { change_id, label, weight } => {
                format!("release {change_id} started: {label} at {weight}")
            }
            Done::AbStarted { change_id, label, ab, weight } => {
                ab_started(Lang::En, (change_id, label), ab, *weight)
            }
            Done::AbEnded { change_id, stable } => ab_ended(Lang::En, change_id, stable.as_ref()),
            Done::RolledBack { change_id, stable } => {
                let stable = named(stable);
                format!("release {change_id} is rolled back; everyone is on {stable} again")
            }
            Done::Moved { change_id, phase, weight, still } => {
                let phase = phase.map_or("", Phase::as_str);
                let at = weight.map_or(String::new(), |weight| format!(" at {weight}"));
                let word = if *still { "still" } else { "now" };
                format!("release {change_id} is {word} {phase}{at}")
            }
            Done::Opened => "the entrance is open".to_owned(),
            Done::Degraded { level, lacks, paused } => {
                degraded(Lang::En, *level, lacks, paused.as_ref())
            }
            Done::ShadowStarted { set, label, most, ends_at } => {
                shadow_started(Lang::En, (set, label), *most, *ends_at)
            }
            Done::ShadowEnded { set, verdict, pairs } => {
                shadow_ended(Lang::En, set, *verdict, *pairs)
            }
            Done::Closed { incident } => format!("incident {incident} is closed"),
            Done::KeyMade { key, name, role } => {
                format!("key {key} of `{name}` is made, with role {role}")
            }
            Done::KeyRotated { old, new, until } => {
                format!("key {new} takes over from {old}, which opens until {}", moment(*until))
            }
            Done::KeyRevoked { key, name } => {
                format!("key {key} of `{name}` opens no more")
            }
            Done::Booked { lines } => format!("{lines} lines are added to the books"),
            Done::Repriced { from, before, after } => {
                format!("what was used since {from} costs ${after}; before, it was ${before}")
            }
            Done::RecordsDeleted { records } => {
                format!("{records} records are deleted, and nothing of them is left in the state")
            }
            Done::SentinelKept { verdict, incident } => kept(Lang::En, *verdict, incident.as_ref()),
            Done::SentinelAccepted { run_id, incident: _ } => accepted(Lang::En, run_id),
            Done::PackWritten { path } => format!("evidence pack written to {path}"),
        }
    }

    fn chinese(&self) -> String {
        match self {
            Done::Packed { set, label } => format!("已打包 {set}（{label}）"),
            Done::EvalKept { released: None } => "评测结果已保存".to_owned(),
            Done::EvalKept { released: Some(note) } => format!("评测结果已保存；{note}"),
            Done::Approved { set, by } => format!("{by} 已批准 {set}"),
            Done::Started { change_id, label, weight } => {
                format!("发布 {change_id} 已开始：{label}，{weight}")
            }
            Done::AbStarted { change_id, label, ab, weight } => {
                ab_started(Lang::Zh, (change_id, label), ab, *weight)
            }
            Done::AbEnded { change_id, stable } => ab_ended(Lang::Zh, change_id, stable.as_ref()),
            Done::RolledBack { change_id, stable } => {
                format!("发布 {change_id} 已回滚；所有人都回到 {}", named(stable))
            }
            Done::Moved { change_id, phase, weight, still } => {
                let phase = phase.map_or("", |phase| Lang::Zh.phase(phase));
                let at = weight.map_or(String::new(), |weight| format!("，{weight}"));
                let word = if *still { "仍然是" } else { "现在是" };
                format!("发布 {change_id} {word}：{phase}{at}")
            }
            Done::Opened => "入口已打开".to_owned(),
            Done::Degraded { level, lacks, paused } => {
                degraded(Lang::Zh, *level, lacks, paused.as_ref())
            }
            Done::ShadowStarted { set, label, most, ends_at } => {
                shadow_started(Lang::Zh, (set, label), *most, *ends_at)
            }
            Done::ShadowEnded { set, verdict, pairs } => {
                shadow_ended(Lang::Zh, set, *verdict, *pairs)
            }
            Done::Closed { incident } => format!("事故 {incident} 已关闭"),
            Done::KeyMade { key, name, role } => {
                format!("已为 `{name}` 创建密钥 {key}，角色 {role}")
            }
            Done::KeyRotated { old, new, until } => {
                format!("密钥 {new} 接替 {old}；旧密钥在 {} 前仍可用", moment(*until))
            }
            Done::KeyRevoked { key, name } => format!("`{name}` 的密钥 {key} 已吊销"),
            Done::Booked { lines } => format!("账目增加了 {lines} 行"),
            Done::Repriced { from, before, after } => {
                format!("{from} 以来的用量现在计为 ${after}，之前为 ${before}")
            }
            Done::RecordsDeleted { records } => {
                format!("已删除 {records} 条记录，状态文件中不再有它们的内容")
            }
            Done::SentinelKept { verdict, incident } => kept(Lang::Zh, *verdict, incident.as_ref()),
            Done::SentinelAccepted { run_id, incident: _ } => accepted(Lang::Zh, run_id),
            Done::PackWritten { path } => format!("证据包已写到 {path}"),
        }
    }

    fn japanese(&self) -> String {
        match self {
            Done::Packed { set, label } => format!("{set}（{label}）をパックした"),
            Done::EvalKept { released: None } => "評価の結果を保存した".to_owned(),
            Done::EvalKept { released: Some(note) } => format!("評価の結果を保存した。{note}"),
            Done::Approved { set, by } => format!("{by} が {set} を承認した"),
            Done::Started { change_id, label, weight } => {
                format!("リリース {change_id} を開始した：{label}、{weight}")
            }
            Done::AbStarted { change_id, label, ab, weight } => {
                ab_started(Lang::Ja, (change_id, label), ab, *weight)
            }
            Done::AbEnded { change_id, stable } => ab_ended(Lang::Ja, change_id, stable.as_ref()),
            Done::RolledBack { change_id, stable } => format!(
                "リリース {change_id} をロールバックした。全員が {} に戻った",
                named(stable)
            ),
            Done::Moved { change_id, phase, weight, still } => {
                let phase = phase.map_or("", |phase| Lang::Ja.phase(phase));
                let at = weight.map_or(String::new(), |weight| format!("、{weight}"));
                let word = if *still { "のまま" } else { "" };
                format!("リリース {change_id} は{phase}{word}{at}")
            }
            Done::Opened => "入口は開いている".to_owned(),
            Done::Degraded { level, lacks, paused } => {
                degraded(Lang::Ja, *level, lacks, paused.as_ref())
            }
            Done::ShadowStarted { set, label, most, ends_at } => {
                shadow_started(Lang::Ja, (set, label), *most, *ends_at)
            }
            Done::ShadowEnded { set, verdict, pairs } => {
                shadow_ended(Lang::Ja, set, *verdict, *pairs)
            }
            Done::Closed { incident } => format!("インシデント {incident} を終了した"),
            Done::KeyMade { key, name, role } => {
                format!("`{name}` の鍵 {key} を作った（役割 {role}）")
            }
            Done::KeyRotated { old, new, until } => {
                format!("鍵 {new} が {old} に代わる。古い鍵は {} まで使える", moment(*until))
            }
            Done::KeyRevoked { key, name } => format!("`{name}` の鍵 {key} を失効させた"),
            Done::Booked { lines } => format!("帳簿に {lines} 行を加えた"),
            Done::Repriced { from, before, after } => {
                format!("{from} 以降の使用量は ${after}（以前は ${before}）")
            }
            Done::RecordsDeleted { records } => {
                format!("記録を {records} 件削除した。状態のファイルにはもう残っていない")
            }
            Done::SentinelKept { verdict, incident } => kept(Lang::Ja, *verdict, incident.as_ref()),
            Done::SentinelAccepted { run_id, incident: _ } => accepted(Lang::Ja, run_id),
            Done::PackWritten { path } => format!("証拠を {path} に書いた"),
        }
    }
}

fn named(set: &Option<VersionSetId>) -> &str {
    set.as_ref().map_or("", VersionSetId::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_core::decide::PausedBy;
    use tidegate_core::money::Money;

    fn all() -> [Done; 25] {
        let change_id = || ChangeId::parse("prompt-v2-1").unwrap();
        let set = || VersionSetId::parse("vs-0f3a9c21d4e7").unwrap();
        let key = || KeyId::parse("tg-0123abcd").unwrap();
        let phase = Some(Phase::Paused(PausedBy::Operator));
        let weight = Some(Weight::FULL);
        [
            Done::Booked { lines: 2 },
            Done::Packed { set: set(), label: "v2".to_owned() },
            Done::EvalKept { released: None },
            Done::EvalKept { released: Some("why".to_owned()) },
            Done::Approved { set: set(), by: "ann".to_owned() },
            Done::Started { change_id: change_id(), label: "v2".to_owned(), weight: Weight::FULL },
            Done::RolledBack { change_id: change_id(), stable: Some(set()) },
            Done::RolledBack { change_id: change_id(), stable: None },
            Done::Moved { change_id: change_id(), phase, weight, still: false },
            Done::Moved { change_id: change_id(), phase, weight: None, still: true },
            Done::Degraded {
                level: Some(DegradeLevel::AllowList),
                lacks: vec![Lack::SmallerModel, Lack::AllowList],
                paused: Some(change_id()),
            },
            Done::Degraded { level: None, lacks: Vec::new(), paused: Some(change_id()) },
            Done::Opened,
            Done::ShadowStarted {
                set: set(),
                label: "v2".to_owned(),
                most: Used { requests: 200, cost: Money(5) },
                ends_at: UnixMs(1_795_874_700_000),
            },
            Done::ShadowEnded { set: set(), verdict: ShadowVerdict::NotYet, pairs: 7 },
            Done::Closed { incident: IncidentId::of_release(&change_id()) },
            Done::PackWritten { path: "reports/x".to_owned() },
            Done::RecordsDeleted { records: 7 },
            Done::Repriced {
                from: Day(20_785),
                before: "1.00".to_owned(),
                after: "2.50".to_owned(),
            },
            Done::SentinelKept {
                verdict: Some(DriftVerdict::ModelRenamed),
                incident: Some(IncidentId::of_release(&change_id())),
            },
            Done::SentinelKept { verdict: None, incident: None },
            Done::SentinelAccepted { run_id: "sentinel-1-abc".to_owned(), incident: None },
            Done::KeyMade { key: key(), name: "app".to_owned(), role: Role::Call },
            Done::KeyRotated { old: key(), new: key(), until: UnixMs(1_795_874_700_000) },
            Done::KeyRevoked { key: key(), name: "app".to_owned() },
        ]
    }

    #[test]
    fn it_comes_over_the_admin_plane_as_it_went() {
        for done in all() {
            let text = serde_json::to_string(&done).unwrap();
            assert_eq!(serde_json::from_str::<Done>(&text).unwrap(), done, "{text}");
        }
    }

    #[test]
    fn each_language_names_the_same_things() {
        for done in all() {
            let [en, zh, ja] = Lang::ALL.map(|lang| done.sentence(lang, Some("the disk is full")));
            assert!(en != zh && zh != ja && en != ja, "{en}");
            for named in [
                "prompt-v2-1",
                "vs-0f3a9c21d4e7",
                "100 %",
                "reports/x",
                "disk is full",
                "tg-0123abcd",
                "2026-11-28 14:05 UTC",
            ] {
                let has = [&en, &zh, &ja].map(|sentence| sentence.contains(named));
                assert_eq!(has, [has[0]; 3], "{named} in {en}, {zh}, {ja}");
            }
        }
    }

    #[test]
    fn english_says_what_is_so_now() {
        let [.., moved, still, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = all();
        assert_eq!(
            moved.sentence(Lang::En, None),
            "release prompt-v2-1 is now paused by an operator at 100 %"
        );
        assert_eq!(
            still.sentence(Lang::En, Some("no room")),
            "release prompt-v2-1 is still paused by an operator; not yet written to disk: no room"
        );
    }
}
