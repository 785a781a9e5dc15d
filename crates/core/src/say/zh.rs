//! Chinese, simplified.

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
        Reason::Order(o) => format!("{} 下令{}（{}）", o.by, order(o.kind), Lang::Zh.why(o)),
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
            format!("观察 {looked_s} 秒后数据足够，每条线都通过")
        }
        Reason::Looking { looked_s, look_s } => {
            format!("每条线都通过；这一级要观察 {look_s} 秒，已观察 {looked_s} 秒")
        }
        Reason::AbRuns { left_s } => format!(
            "A/B 测试最多再进行 {}；用 `tidegate ab stop` 结束",
            duration(Lang::Zh, *left_s as f64)
        ),
        Reason::AbOver { lasted_s } => {
            format!("A/B 测试已到期，共 {}", duration(Lang::Zh, *lasted_s as f64))
        }
        Reason::TooFewSamples(few) => too_few(few),
        Reason::NoData { silent_s, candidate_requests } => {
            format!("已有 {silent_s} 秒没有请求结束；发布在等数据{}", unsplit(*candidate_requests))
        }
        Reason::SampleRatio { share, weight_pct, samples_candidate, samples_stable } => format!(
            "流量没有按权重分配：候选版得到 {:.1} % 的请求，权重是 {weight_pct}（候选版 \
             {samples_candidate} 个请求，稳定版 {samples_stable} 个）；先检查路由，再相信任何对比",
            share * 100.0
        ),
        Reason::Clean { samples_candidate, high } => format!(
            "{samples_candidate} 个回答里没有红线事件：有 95 % 的把握，出现红线事件的回答最多占 {:.2} %",
            (high * 10_000.0).ceil() / 100.0
        ),
        Reason::ColdStart => {
            "冷启动：没有存下稳定版前几天的数据，只和同时段的稳定版比较".to_owned()
        }
        Reason::Decided => "这一时刻已经做过决定".to_owned(),
        Reason::Final { phase } => format!("发布已经结束：{}", self::phase(*phase)),
        Reason::PausedByLines(pause) => paused_by_lines(pause),
        Reason::Outage(seen) => outage(seen),
        Reason::Drift(drift) => model_drift(drift),
        Reason::Paused => "操作员暂停了发布；用 `tidegate release resume` 继续".to_owned(),
        Reason::Stored(reason) => reason.text.clone(),
    }
}

pub(super) fn signal(signal: Signal) -> &'static str {
    match signal {
        Signal::Green => "绿",
        Signal::Yellow => "黄",
        Signal::Red => "红",
        Signal::Black => "黑",
    }
}

pub(super) fn decision(kind: DecisionKind) -> &'static str {
    match kind {
        DecisionKind::Advance => "升级",
        DecisionKind::Hold => "保持",
        DecisionKind::Pause => "暂停",
        DecisionKind::End => "结束",
        DecisionKind::RollBack => "回滚",
        DecisionKind::ShutOff => "关停",
    }
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Running => "进行中",
        Phase::Paused(PausedBy::Operator) => "操作员已暂停",
        Phase::Paused(PausedBy::Lines) => "指标越线，已暂停",
        Phase::Ended => "已结束",
        Phase::RolledBack => "已回滚",
        Phase::ShutOff => "已关停",
        Phase::Promoted => "已转正",
    }
}

pub(super) fn order(kind: OrderKind) -> &'static str {
    match kind {
        OrderKind::Pause => "暂停",
        OrderKind::Resume => "继续",
        OrderKind::Promote => "升到下一级",
        OrderKind::PromoteFully => "对所有人转正",
        OrderKind::RollBack => "回滚",
        OrderKind::End => "结束 A/B 测试",
    }
}

fn risk(kind: RiskKind) -> &'static str {
    match kind {
        RiskKind::Leak => "泄露",
        RiskKind::UnauthorisedTool => "越权调用工具",
        RiskKind::PromptRecited => "背出系统提示词",
        RiskKind::Secret => "凭据泄露",
        RiskKind::Identity => "证件或卡号泄露",
        RiskKind::PromptEcho => "复述系统提示词",
    }
}

/// The metric's name for people, with the name it has in configuration.
fn name(metric: Metric) -> String {
    let name = match metric {
        Metric::ErrorRate => "错误率",
        Metric::RejectedRate => "被拒请求率",
        Metric::ContractBrokenRate => "输出契约违约率",
        Metric::RefusalRate => "拒答率",
        Metric::DislikeRate => "差评率",
        Metric::NotAdoptedRate => "未采纳率",
        Metric::TaskFailedRate => "任务失败率",
        Metric::Dissatisfaction => "不满意度",
        Metric::LatencyP95 => "P95 延迟",
        Metric::LatencyP99 => "P99 延迟",
        Metric::FirstTokenP95 => "P95 首 token 延迟",
        Metric::TimeoutRate => "超时率",
        Metric::TokensPerRequest => "每请求 token 数",
        Metric::CostPerRequest => "每请求成本",
        Metric::CostPerSuccess => "每个有效回答的成本",
        Metric::PiiRate => "个人信息泄露率",
        Metric::PromptEchoRate => "系统提示词复述率",
        Metric::UncitedRate => "无引用陈述的占比",
        Metric::UngroundedRate => "检索结果不支持的陈述的占比",
    };
    format!("{name}（{}）", metric.as_str())
}

fn red_line(events: &[RiskEvent]) -> String {
    let seen: Vec<String> =
        events.iter().map(|event| format!("{}（{}）", risk(event.kind), event.detail)).collect();
    format!("出现 {} 个红线事件，一个就足以处置：{}", seen.len(), seen.join("、"))
}

fn over_ceiling(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!("{name}已证明超过上限 {}：{values}；{samples}", shown.threshold)
}

fn between(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "{name}已证明比通过线 {} 差，但没有超过暂停线：{values}，{}；{samples}",
        shown.threshold,
        difference(c, &shown)
    )
}

fn over_budget(budget: &OverBudget) -> String {
    let OverBudget { budget, spoilt, shown: c } = budget;
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "{name}：候选版约有 {spoilt:.0} 个回答变坏，而稳定版本来不会，超过损害预算 {budget} 个：{values}，{}{}；{samples}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn over_multiple(c: &Comparison, multiple: f64) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    format!("{name}已证明超过稳定版的 {multiple} 倍：{values}{}；{samples}", odds(&shown))
}

fn skipped(c: &Comparison) -> String {
    let Head { name, shown, .. } = Head::of(c);
    let off = format!("设置 `lines.{}.required: false` 可以不看这一项", c.metric.as_str());
    match (c.yardstick, c.reported) {
        (Some(Yardstick::Unpriced), _) => format!(
            "{name}没有比较：没有价格的模型看上去像免费；请在 tidegate.yaml 的 `prices:` 下补上价格，或{off}"
        ),
        (Some(Yardstick::Unlike), Some(Reported { candidate, stable })) => format!(
            "{name}没有比较：上游报告了候选版 {:.0} % 和稳定版 {:.0} % 的回答的用量，其余是估算的；{off}",
            candidate * 100.0,
            stable * 100.0
        ),
        (Some(_) | None, _) => format!(
            "{name}没有可比较的数据：候选版 {} 个样本，稳定版 {} 个样本",
            shown.samples_candidate, shown.samples_stable
        ),
    }
}

fn drift(c: &Comparison) -> String {
    let Head { name, values, shown, .. } = Head::of(c);
    format!(
        "{name}两侧都比前几天差：{values}，相差 {}，限值 {}；这是整体漂移，不算候选版的问题",
        shown.estimate, shown.threshold
    )
}

fn gap_text(gap: Gap) -> &'static str {
    match gap {
        Gap::NoServer => "数据可能不全：服务没有运行；用 `tidegate serve` 启动",
        Gap::NoMetrics => "数据可能不全：收不到指标",
        Gap::CountFell => "数据可能不全：有计数变小了，说明不只是这次发布的数据",
    }
}

fn shared_fault(fault: &FaultSeen) -> String {
    let FaultSeen { for_s, is_over, is_alone, stable, candidate } = fault;
    let judged = if *is_alone { candidate } else { stable };
    if judged.requests + candidate.requests == 0 {
        return format!(
            "两侧共同的上游故障已持续 {}，上次查看之后没有请求结束；故障结束前的数据都不计入",
            duration(Lang::Zh, *for_s as f64)
        );
    }
    let failed = format!("{} 个请求失败 {:.0} %", judged.requests, judged.rate() * 100.0);
    let beside = match candidate.requests {
        0 => String::new(),
        _ if *is_alone => String::new(),
        n => format!("，候选版 {n} 个请求失败 {:.0} %", candidate.rate() * 100.0),
    };
    let whose = match is_alone {
        true => "稳定版上没有流量可比，两侧共用的上游",
        false => "稳定版的上游",
    };
    match is_over {
        true => {
            format!("共同的上游故障已经结束：{whose} {failed}{beside}；故障期间的数据两侧都不计入")
        }
        false => format!("{whose} {failed}{beside}：这是共同故障，不算候选版的问题"),
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
        let shown = Shown::of(Lang::Zh, c);
        let beside = match c.beside {
            Beside::Stable => format!("稳定版 {}", shown.stable),
            Beside::StableBefore => format!("稳定版（失去流量之前）{}", shown.stable),
            Beside::Baseline { days } => format!("{days} 天基线 {}", shown.stable),
        };
        let how = match c.yardstick {
            Some(Yardstick::Estimated) => "（都是估算值，因为有上游不报告用量）",
            Some(Yardstick::Reported | Yardstick::Unlike | Yardstick::Unpriced) | None => "",
        };
        Head {
            name: name(c.metric),
            values: format!("候选版 {}，{beside}{how}", shown.candidate),
            samples: format!(
                "候选版 {} 个样本，稳定版 {} 个样本{}",
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
        Beside::Stable => format!("同时段相差 {}", shown.estimate),
        Beside::StableBefore | Beside::Baseline { .. } => format!("相差 {}", shown.estimate),
    }
}

fn odds(shown: &Shown) -> String {
    let odds = shown.odds.as_ref();
    odds.map_or(String::new(), |(odds, needed)| format!("；证据强度 {odds} : 1，需要 {needed} : 1"))
}

/// What the candidate's samples count as, where users' answers are alike.
fn worth(shown: &Shown) -> String {
    let Some((worth, users)) = shown.worth else { return String::new() };
    let of = users.map_or(String::new(), |users| format!("（来自约 {users} 个用户）"));
    format!(
        "；同一用户的回答彼此相似，候选版的 {} 个样本{of}只相当于约 {worth} 个独立样本",
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
            "{name}最近超过回滚线 {limit}：{values}，整个发布期间{difference}{odds}；{samples}"
        );
    }
    let proven = shown.at_least.map_or(String::new(), |low| format!("，已证明至少 {low}"));
    format!("{name}超过回滚线 {limit}：{values}，{difference}{proven}{odds}；{samples}")
}

fn over_pause(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let (limit, difference, odds) = (&shown.threshold, difference(c, &shown), odds(&shown));
    match c.beside {
        Beside::Stable | Beside::StableBefore => format!(
            "{name}超过暂停线 {limit}，还没有证明超过回滚线：{values}，{difference}；{samples}"
        ),
        Beside::Baseline { .. } => format!(
            "{name}与前几天相比超过回滚线 {limit}：{values}，{difference}{odds}；\
             查明还有什么变了，再继续或回滚"
        ),
    }
}

fn pause_limit(limit: &PauseLimit) -> String {
    let PauseLimit { lasted_s, limit_s, shown: c } = limit;
    let Head { name, values, samples, shown } = Head::of(c);
    format!(
        "发布已暂停 {lasted_s} 秒，超过 {limit_s} 秒的期限，并且{name}已证明比稳定版差：\
         {values}，{}{}；{samples}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn outage(seen: &ModelOutage) -> String {
    let ModelOutage { upstream, failure, requests, failed } = seen;
    let means = match failure {
        Failure::AccountLimit => "：账户余额或消费限额已用完",
        Failure::Credential => "：模型服务器不接受密钥",
        _ => "",
    };
    let failure = failure.as_str();
    format!("上游 `{upstream}` 出现故障：{requests} 个请求失败 {failed} 个（{failure}{means}）")
}

fn model_drift(drift: &ModelDrift) -> String {
    let ModelDrift { upstream, endpoint, model, changed } = drift;
    let at = if endpoint.is_empty() { String::new() } else { format!("（{endpoint}）") };
    let what = match changed {
        Changed::Model { before, now } => format!("它自称 `{now}`，之前是 `{before}`"),
        Changed::Fingerprint { before, now } => format!("它的指纹是 `{now}`，之前是 `{before}`"),
        Changed::Answers { measure, mean_before, mean_now, p, cases } => format!(
            "它对固定用例的回答变了：{measure} 之前 {mean_before:.3}，现在 {mean_now:.3}，共 {cases} 个用例\
             （p {p:.4}）"
        ),
    };
    format!(
        "上游 `{upstream}`{at} 的模型 `{model}` 在没有发布的情况下变了：{what}；在 \
         `tidegate sentinel accept` 之前，或恢复原样之前，不据此评判任何候选版"
    )
}

fn paused_by_lines(pause: &PauseSoFar) -> String {
    let PauseSoFar { lasted_s, limit_s, leads_to } = pause;
    match leads_to {
        PauseEnd::GoesBack => format!(
            "已暂停 {lasted_s} 秒，期限 {limit_s} 秒；到期自动回滚，除非指标恢复正常或有人恢复发布"
        ),
        PauseEnd::GoesBackIfWorse => format!(
            "已暂停 {lasted_s} 秒，期限 {limit_s} 秒；到期时如果有指标比稳定版差的证据足够强，就自动回滚"
        ),
        PauseEnd::Stays => format!(
            "已暂停 {lasted_s} 秒，超过 {limit_s} 秒的期限；比稳定版差的证据还不足以回滚，\
             所以继续暂停；请恢复或回滚"
        ),
    }
}

fn uncertain(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let limit = &shown.threshold;
    let more = match (c.more, shown.more_samples) {
        (Some(More::SettlesNothing), _) => {
            "；再多的样本也得不出结论，除非差异更大或噪声更小".to_owned()
        }
        (Some(more @ (More::RollsBack | More::Passes)), Some(samples)) => {
            let leads_to = if more == More::Passes { "通过" } else { "回滚" };
            let after = shown.takes.as_ref().map_or(String::new(), takes);
            format!("；再有约 {samples} 个这样的样本就会{leads_to}{after}")
        }
        (Some(More::RollsBack | More::Passes) | None, _) => String::new(),
    };
    if c.unit == Unit::Ceiling {
        return format!(
            "{name}还没有证明在 {limit} 以内（升到下一级需要）：{values}；{samples}{more}"
        );
    }
    if shown.odds.is_none() && shown.is_undefined {
        return format!(
            "{name}：稳定版为 0，相对限值没有意义（{values}；{samples}）；请设置 `ceiling`"
        );
    }
    if shown.odds.is_none() {
        return format!("{name}的同时段样本太少，还不能比较：{values}；{samples}");
    }
    format!(
        "{name}对限值 {limit} 还没有定论：{values}，{}{}；{samples}{more}",
        difference(c, &shown),
        odds(&shown)
    )
}

fn takes(takes: &Takes) -> String {
    match takes {
        Takes::In(after) => format!("，按现在的流量还要 {after}"),
        Takes::TooLong(after, larger) => {
            let larger = larger.as_ref().map_or(String::new(), |(weight, there)| {
                format!("；在 {weight} 的流量下大约要 {there}")
            });
            format!("；按现在的流量要 {after}，等待时间太长{larger}")
        }
    }
}

fn pass(c: &Comparison) -> String {
    let Head { name, values, samples, shown } = Head::of(c);
    let limit = &shown.threshold;
    if c.unit == Unit::Ceiling {
        return format!("{name}通过，在上限 {limit} 以内：{values}；{samples}");
    }
    let (difference, odds) = (difference(c, &shown), odds(&shown));
    let within = shown.within.as_ref();
    let within =
        within.map_or(String::new(), |within| format!("，有 99 % 的把握数值至多 {within}"));
    let proven = shown.at_most.map_or(String::new(), |high| format!("，已证明至多 {high}"));
    format!("{name}通过，在 {limit} 以内：{values}，{difference}{proven}{within}{odds}；{samples}")
}

fn too_few(few: &TooFew) -> String {
    let TooFew { samples_candidate, needed_candidate, samples_stable, needed_stable, .. } = few;
    let stable = match needed_stable {
        0 => String::new(),
        needed => format!("，稳定版 {samples_stable} 个，需要 {needed} 个"),
    };
    let more = few
        .more_s
        .map_or(String::new(), |s| format!("，按现在的流量还要 {}", duration(Lang::Zh, s as f64)));
    format!(
        "这一级的回答太少：候选版 {samples_candidate} 个，需要 {needed_candidate} 个{stable}{more}{}",
        unsplit(few.candidate_requests)
    )
}

fn unsplit(candidate_requests: u64) -> &'static str {
    match candidate_requests {
        0 => "；没有请求到达候选版：请求要带用户或密钥才会参与分流",
        _ => "",
    }
}
