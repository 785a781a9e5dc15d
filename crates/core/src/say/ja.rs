//! Japanese.

use super::Lang;
use super::number::{Shown, Takes, duration};
use crate::decide::{
    Beside, Changed, Comparison, DecisionKind, FaultSeen, Gap, Metric, ModelDrift, ModelOutage,
    More, OrderKind, OverBudget, PauseEnd, PauseLimit, PauseSoFar, PausedBy, Phase, Reason,
    Reported, Signal, TooFew, Unit, Yardstick,
};
use crate::guard::{RiskEvent, RiskKind};
use crate::upstream::Failure;

pub(super) fn sentence(reason: &Reason) -> String {
    match reason {
        Reason::Order(o) => format!("{} の指示：{}（{}）", o.by, order(o.kind), Lang::Ja.why(o)),
        Reason::RedLine { events } => red_line(events),
        Reason::Gap { gap } => gap_text(*gap).to_owned(),
        Reason::SharedFault(fault) => shared_fault(fault),
        Reason::OverRollback(c) => over_rollback(c),
        Reason::OverCeiling(c) => over_ceiling(c),
        Reason::OverBudget(budget) => over_budget(budget),
        Reason::OverPause(c) => over_pause(c),
        Reason::PauseLimit(limit) => pause_limit(limit),
        Reason::BetweenPassAndPause(c) => between(c),
        Reason::Uncertain(c) => uncertain(c),
        Reason::Skipped(c) => skipped(c),
        Reason::Pass(c) => pass(c),
        Reason::BaselineDrift(c) => drift(c),
        Reason::AllPass { looked_s } => {
            format!("{looked_s} 秒の観察で十分なデータが集まり、すべての指標が通過")
        }
        Reason::Looking { looked_s, look_s } => {
            format!("すべての指標が通過。この段階は {look_s} 秒のうち {looked_s} 秒を観察済み")
        }
        Reason::AbRuns { left_s } => format!(
            "A/B テストは最長であと {} 続く。`tidegate ab stop` で終了できる",
            duration(Lang::Ja, *left_s as f64)
        ),
        Reason::AbOver { lasted_s } => {
            format!("A/B テストは期限の {} に達した", duration(Lang::Ja, *lasted_s as f64))
        }
        Reason::TooFewSamples(few) => too_few(few),
        Reason::NoData { silent_s, candidate_requests } => format!(
            "{silent_s} 秒間、完了したリクエストがない。データを待っている{}",
            unsplit(*candidate_requests)
        ),
        Reason::SampleRatio { share, weight_pct, samples_candidate, samples_stable } => format!(
            "トラフィックの配分が重みと合わない：候補版は {:.1} %、重みは {weight_pct}（候補版 \
             {samples_candidate} 件、安定版 {samples_stable} 件）。比較を信じる前にルーターを確認すること",
            share * 100.0
        ),
        Reason::Clean { samples_candidate, high } => format!(
            "{samples_candidate} 件の回答にレッドライン事象はない：95 % の信頼度で、事象のある回答は最大でも {:.2} %",
            (high * 10_000.0).ceil() / 100.0
        ),
        Reason::ColdStart => {
            "コールドスタート：安定版の過去数日のデータがないため、同じ時間帯の安定版とだけ比較する"
                .to_owned()
        }
        Reason::Decided => "この時刻の判断は済んでいる".to_owned(),
        Reason::Final { phase } => format!("リリースは終了：{}", self::phase(*phase)),
        Reason::PausedByLines(pause) => paused_by_lines(pause),
        Reason::Outage(seen) => outage(seen),
        Reason::Drift(drift) => model_drift(drift),
        Reason::Paused => {
            "オペレーターが一時停止した。`tidegate release resume` で再開できる".to_owned()
        }
        Reason::Stored(reason) => reason.text.clone(),
    }
}

pub(super) fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::Green => "緑",
        Signal::Yellow => "黄",
        Signal::Red => "赤",
        Signal::Black => "黒",
    }
}

pub(super) fn decision(kind: DecisionKind) -> &'static str {
    match kind {
        DecisionKind::Advance => "前進",
        DecisionKind::Hold => "維持",
        DecisionKind::Pause => "一時停止",
        DecisionKind::End => "終了",
        DecisionKind::RollBack => "ロールバック",
        DecisionKind::ShutOff => "遮断",
    }
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "進行中",
        Phase::Paused(PausedBy::Operator) => "オペレーターが一時停止",
        Phase::Paused(PausedBy::Lines) => "指標が基準を超え一時停止",
        Phase::Ended => "終了済み",
        Phase::RolledBack => "ロールバック済み",
        Phase::ShutOff => "遮断済み",
        Phase::Promoted => "昇格済み",
    }
}

pub(super) fn order(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Pause => "一時停止",
        OrderKind::Resume => "再開",
        OrderKind::Promote => "次の段階へ進める",
        OrderKind::PromoteFully => "全員へ昇格",
        OrderKind::RollBack => "ロールバック",
        OrderKind::End => "A/B テストを終了",
    }
}

fn risk(kind: RiskKind) -> &'static str {
    match kind {
        RiskKind::Leak => "漏えい",
        RiskKind::UnauthorisedTool => "許可のないツール呼び出し",
        RiskKind::PromptRecited => "システムプロンプトの流出",
        RiskKind::Secret => "認証情報の漏えい",
        RiskKind::Identity => "カード番号・識別番号の漏えい",
        RiskKind::PromptEcho => "システムプロンプトの反復",
    }
}

/// The metric's name for people, with the name it has in configuration.
fn name(metric: Metric) -> String {
    let name = match metric {
        Metric::ErrorRate => "エラー率",
        Metric::RejectedRate => "拒否リクエスト率",
        Metric::ContractBrokenRate => "出力契約違反率",
        Metric::RefusalRate => "回答拒否率",
        Metric::DislikeRate => "低評価率",
        Metric::NotAdoptedRate => "不採用率",
        Metric::TaskFailedRate => "タスク失敗率",
        Metric::Dissatisfaction => "不満度",
        Metric::LatencyP95 => "P95 レイテンシ",
        Metric::LatencyP99 => "P99 レイテンシ",
        Metric::FirstTokenP95 => "P95 初回トークンまでの時間",
        Metric::TimeoutRate => "タイムアウト率",
        Metric::TokensPerRequest => "リクエストあたりトークン数",
        Metric::CostPerRequest => "リクエストあたりコスト",
        Metric::CostPerSuccess => "有効回答あたりコスト",
        Metric::PiiRate => "個人情報の出現率",
        Metric::PromptEchoRate => "システムプロンプト反復率",
        Metric::UncitedRate => "出典のない記述の割合",
        Metric::UngroundedRate => "検索結果に裏付けのない記述の割合",
    };
    format!("{name}（{}）", metric.as_str())
}

fn red_line(events: &[RiskEvent]) -> String {
    let seen: Vec<String> =
        events.iter().map(|event| format!("{}（{}）", risk(event.kind), event.detail)).collect();
    format!("レッドライン事象が {} 件発生（1 件でも対処の対象）：{}", seen.len(), seen.join("、"))
}

fn over_ceiling(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!("{name}が上限 {} を超えたことを確認：{values}。{samples}", shown.threshold)
}

fn between(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "{name}が通過基準 {} より悪いことを確認（一時停止基準は超えていない）：{values}、{}。{samples}",
        shown.threshold,
        difference(c, &shown)
    )
}

fn over_budget(budget: &OverBudget) -> String {
    let OverBudget { budget, spoilt, shown: c } = budget;
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "{name}：候補版で約 {spoilt:.0} 件の回答が安定版なら起きない形で損なわれ、損害予算の {budget} 件を超えた：\
         {values}、{}{}。{samples}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn over_multiple(c: &Comparison, multiple: f64) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!("{name}が安定版の {multiple} 倍を超えたことを確認：{values}{}。{samples}", odds(&shown))
}

fn skipped(c: &Comparison) -> String {
    let Head { name, shown, .. } = Head::of(c);
    let off = format!("`lines.{}.required: false` でこの指標なしに進められる", c.metric.as_str());
    match (c.yardstick, c.reported) {
        (Some(Yardstick::Unpriced), _) => format!(
            "{name}は比較していない：価格のないモデルは無料に見える。tidegate.yaml の `prices:` に価格を\
             加えること。{off}"
        ),
        (Some(Yardstick::Unlike), Some(Reported { candidate, stable })) => format!(
            "{name}は比較していない：上流が使用量を報告した回答は候補版 {:.0} %、安定版 {:.0} % で、\
             残りは推定値。{off}",
            candidate * 100.0,
            stable * 100.0
        ),
        (Some(_) | None, _) => format!(
            "{name}は比較できるデータがない：候補版 {} 件、安定版 {} 件",
            shown.samples_candidate, shown.samples_stable
        ),
    }
}

fn drift(c: &Comparison) -> String {
    let Head { name, values, shown, .. } = Head::of(c);
    format!(
        "{name}は両側とも過去数日より悪い：{values}、差 {}、基準 {}。全体のドリフトであり、候補版の問題とは見なさない",
        shown.estimate, shown.threshold
    )
}

fn gap_text(gap: Gap) -> &'static str {
    match gap {
        Gap::NoServer => {
            "データが不完全な可能性：サーバーが動いていない。`tidegate serve` で起動できる"
        }
        Gap::NoMetrics => "データが不完全な可能性：指標が届いていない",
        Gap::CountFell => {
            "データが不完全な可能性：カウントが減った。このリリースだけのデータではない"
        }
    }
}

fn shared_fault(fault: &FaultSeen) -> String {
    let FaultSeen { for_s, is_over, is_alone, stable, candidate } = fault;
    let judged = if *is_alone { candidate } else { stable };
    if judged.requests + candidate.requests == 0 {
        return format!(
            "両側に共通する上流の障害が {} 続いており、前回から完了したリクエストがない。障害が終わるまでのデータは数えない",
            duration(Lang::Ja, *for_s as f64)
        );
    }
    let failed = format!("{} 件のうち {:.0} % が失敗", judged.requests, judged.rate() * 100.0);
    let beside = match candidate.requests {
        0 => String::new(),
        _ if *is_alone => String::new(),
        n => format!("、候補版は {n} 件のうち {:.0} % が失敗", candidate.rate() * 100.0),
    };
    let whose = match is_alone {
        true => "安定版に比較できるトラフィックがなく、共用の上流で",
        false => "安定版の上流で",
    };
    match is_over {
        true => {
            format!(
                "共通の上流障害は終了：{whose} {failed}{beside}。障害中のデータはどちらにも数えない"
            )
        }
        false => format!("{whose} {failed}{beside}。共通の障害であり、候補版の問題とは見なさない"),
    }
}

/// What most sentences about a line begin and end with.
struct Head {
    name: String,
    values: String,
    samples: String,
    shown: Shown,
}

impl Head {
    fn of(c: &Comparison) -> Head {
        let shown = Shown::of(Lang::Ja, c);
        let beside = match c.beside {
            Beside::Stable => format!("安定版 {}", shown.stable),
            Beside::StableBefore => format!("安定版（トラフィックがなくなる前）{}", shown.stable),
            Beside::Baseline { days } => format!("{days} 日間のベースライン {}", shown.stable),
        };
        let how = match c.yardstick {
            Some(Yardstick::Estimated) => "（上流が使用量を報告しないため、どちらも推定値）",
            Some(Yardstick::Reported | Yardstick::Unlike | Yardstick::Unpriced) | None => "",
        };
        Head {
            name: name(c.metric),
            values: format!("候補版 {}、{beside}{how}", shown.candidate),
            samples: format!(
                "サンプルは候補版 {} 件、安定版 {} 件{}",
                shown.samples_candidate,
                shown.samples_stable,
                worth(&shown)
            ),
            shown,
        }
    }
}

fn difference(c: &Comparison, shown: &Shown) -> String {
    match c.beside {
        Beside::Stable => format!("同じ時間帯の差 {}", shown.estimate),
        Beside::StableBefore | Beside::Baseline { .. } => format!("差 {}", shown.estimate),
    }
}

fn odds(shown: &Shown) -> String {
    let odds = shown.odds.as_ref();
    odds.map_or(String::new(), |(odds, needed)| {
        format!("。証拠の強さ {odds} : 1（必要 {needed} : 1）")
    })
}

/// What the candidate's samples count as, where users' answers are alike.
fn worth(shown: &Shown) -> String {
    let Some((worth, users)) = shown.worth else { return String::new() };
    let of = users.map_or(String::new(), |users| format!("（約 {users} ユーザー）"));
    format!(
        "。同じユーザーへの回答は似るため、候補版の {} 件{of}は独立したサンプル約 {worth} 件に相当する",
        shown.samples_candidate
    )
}

fn over_rollback(c: &Comparison) -> String {
    if let Some(multiple) = c.multiple {
        return over_multiple(c, multiple);
    }
    let Head { name, values, samples, shown } = Head::of(c);
    let (limit, difference, odds) = (&shown.threshold, difference(c, &shown), odds(&shown));
    if shown.is_late {
        return format!(
            "{name}が最近ロールバック基準 {limit} を超えた：{values}、リリース全体で{difference}{odds}。{samples}"
        );
    }
    let proven = shown.at_least.map_or(String::new(), |low| format!("、少なくとも {low} を確認"));
    format!(
        "{name}がロールバック基準 {limit} を超えた：{values}、{difference}{proven}{odds}。{samples}"
    )
}

fn over_pause(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let (limit, difference, odds) = (&shown.threshold, difference(c, &shown), odds(&shown));
    match c.beside {
        Beside::Stable | Beside::StableBefore => format!(
            "{name}が一時停止基準 {limit} を超えた（ロールバック基準の超過は未確認）：{values}、{difference}。{samples}"
        ),
        Beside::Baseline { .. } => format!(
            "{name}が過去数日と比べてロールバック基準 {limit} を超えた：{values}、{difference}{odds}。\
             ほかの変化を調べてから再開またはロールバックすること"
        ),
    }
}

fn pause_limit(limit: &PauseLimit) -> String {
    let PauseLimit { lasted_s, limit_s, shown: c } = limit;
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "一時停止が {lasted_s} 秒続いて上限の {limit_s} 秒を超え、{name}が安定版より悪いことを確認：\
         {values}、{}{}。{samples}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn outage(seen: &ModelOutage) -> String {
    let ModelOutage { upstream, failure, requests, failed } = seen;
    let means = match failure {
        Failure::AccountLimit => "：アカウントの残高または利用上限を使い切った",
        Failure::Credential => "：モデルサーバーが鍵を受け付けない",
        _ => "",
    };
    let failure = failure.as_str();
    format!("上流 `{upstream}` に障害：{requests} 件のうち {failed} 件が失敗（{failure}{means}）")
}

fn model_drift(drift: &ModelDrift) -> String {
    let ModelDrift { upstream, endpoint, model, changed } = drift;
    let at = if endpoint.is_empty() { String::new() } else { format!("（{endpoint}）") };
    let what = match changed {
        Changed::Model { before, now } => format!("名乗りは `{now}`、以前は `{before}`"),
        Changed::Fingerprint { before, now } => {
            format!("フィンガープリントは `{now}`、以前は `{before}`")
        }
        Changed::Answers { measure, mean_before, mean_now, p, cases } => format!(
            "固定ケースへの回答が変わった：{measure} は以前 {mean_before:.3}、現在 {mean_now:.3}、{cases} ケース\
             （p {p:.4}）"
        ),
    };
    format!(
        "上流 `{upstream}`{at} のモデル `{model}` がリリースなしに変わった：{what}。\
         `tidegate sentinel accept` するか元に戻るまで、候補版の判定には使わない"
    )
}

fn paused_by_lines(pause: &PauseSoFar) -> String {
    let PauseSoFar { lasted_s, limit_s, leads_to } = pause;
    match leads_to {
        PauseEnd::GoesBack => format!(
            "一時停止から {lasted_s} 秒（上限 {limit_s} 秒）。指標が回復するか人が再開しなければ、上限でロールバックする"
        ),
        PauseEnd::GoesBackIfWorse => format!(
            "一時停止から {lasted_s} 秒（上限 {limit_s} 秒）。上限までに安定版より悪いという証拠が十分になればロールバックする"
        ),
        PauseEnd::Stays => format!(
            "一時停止が {lasted_s} 秒続き、上限の {limit_s} 秒を超えた。安定版より悪いという証拠がロールバックには足りないため\
             停止を続ける。再開またはロールバックすること"
        ),
    }
}

fn uncertain(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let limit = &shown.threshold;
    let more = match (c.more, shown.more_samples) {
        (Some(More::SettlesNothing), _) => {
            "。サンプルを増やしても決まらない。差が大きくなるかばらつきが減る必要がある".to_owned()
        }
        (Some(more @ (More::RollsBack | More::Passes)), Some(samples)) => {
            let leads_to = if more == More::Passes { "通過に" } else { "ロールバックに" };
            let after = shown.takes.as_ref().map_or(String::new(), takes);
            format!("。同様のサンプルがあと約 {samples} 件で{leads_to}なる{after}")
        }
        (Some(More::RollsBack | More::Passes) | None, _) => String::new(),
    };
    if c.unit == Unit::Ceiling {
        return format!(
            "{name}が次の段階に必要な {limit} 以内とはまだ確認できない：{values}。{samples}{more}"
        );
    }
    if shown.odds.is_none() && shown.is_undefined {
        return format!(
            "{name}：安定版が 0 のため相対基準は定義できない（{values}。{samples}）。`ceiling` を設定すること"
        );
    }
    if shown.odds.is_none() {
        return format!(
            "{name}は同じ時間帯のサンプルが少なく、まだ比較できない：{values}。{samples}"
        );
    }
    format!(
        "{name}は基準 {limit} に対してまだ判断できない：{values}、{}{}。{samples}{more}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn takes(takes: &Takes) -> String {
    match takes {
        Takes::In(after) => format!("、現在のトラフィックであと {after}"),
        Takes::TooLong(after, larger) => {
            let larger = larger
                .as_ref()
                .map_or(String::new(), |(weight, there)| format!("。{weight} なら約 {there}"));
            format!("。現在のトラフィックでは {after} かかり、待つには長すぎる{larger}")
        }
    }
}

fn pass(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let limit = &shown.threshold;
    if c.unit == Unit::Ceiling {
        return format!("{name}は上限 {limit} 以内で通過：{values}。{samples}");
    }
    let (difference, odds) = (difference(c, &shown), odds(&shown));
    let within = shown.within.as_ref();
    let within =
        within.map_or(String::new(), |within| format!("、値は 99 % の信頼度で最大 {within}"));
    let proven = shown.at_most.map_or(String::new(), |high| format!("、最大でも {high} を確認"));
    format!("{name}は {limit} 以内で通過：{values}、{difference}{proven}{within}{odds}。{samples}")
}

fn too_few(few: &TooFew) -> String {
    let TooFew { samples_candidate, needed_candidate, samples_stable, needed_stable, .. } = few;
    let stable = match needed_stable {
        0 => String::new(),
        needed => format!("、安定版 {samples_stable} 件（必要 {needed} 件）"),
    };
    let more = few.more_s.map_or(String::new(), |s| {
        format!("、現在のトラフィックであと {}", duration(Lang::Ja, s as f64))
    });
    format!(
        "この段階の回答が少ない：候補版 {samples_candidate} 件（必要 {needed_candidate} 件）{stable}{more}{}",
        unsplit(few.candidate_requests)
    )
}

fn unsplit(candidate_requests: u64) -> &'static str {
    match candidate_requests {
        0 => "。候補版に届いたリクエストがない。ユーザーかキーを持つリクエストだけが振り分けられる",
        _ => "",
    }
}
