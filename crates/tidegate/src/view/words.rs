//! The words of the views: headings, verdicts, statuses. A language without one does not compile.
//!
//! What has numbers in it is a sentence, and is made beside the view that shows it.

use crate::lang::Lang;

/// The words of one language.
pub(crate) struct Words {
    pub(super) release: ReleaseWords,
    pub(super) trace: TraceWords,
    pub(super) eval: EvalWords,
    pub(crate) plan: PlanWords,
}

/// Of a release.
pub(super) struct ReleaseWords {
    pub(super) release: &'static str,
    /// The labels of its rows.
    pub(super) ladder: &'static str,
    pub(super) signal: &'static str,
    pub(super) pause: &'static str,
    pub(super) evidence: &'static str,
    /// After a rung that an order passed.
    pub(super) by_order: &'static str,
    /// After the ladder of a release that was taken back after its promotion.
    pub(super) taken_back: &'static str,
    /// The table's columns: line, verdict, metric, candidate, stable, difference, what it is at
    /// most, where it is rolled back, answers.
    pub(super) columns: [&'static str; 9],
    /// Quality, latency, cost, risk.
    pub(super) lines: [&'static str; 4],
    pub(super) verdicts: VerdictWords,
    /// How differences are read.
    pub(super) differences: &'static str,
}

/// What is said of a line, eight columns wide at most.
pub(super) struct VerdictWords {
    pub(super) pass: &'static str,
    pub(super) over: &'static str,
    pub(super) pause: &'static str,
    pub(super) hold: &'static str,
    pub(super) drift: &'static str,
    pub(super) unsure: &'static str,
    pub(super) no_data: &'static str,
    pub(super) red_line: &'static str,
    pub(super) split: &'static str,
}

/// Of one request.
pub(super) struct TraceWords {
    /// The labels of its rows.
    pub(super) trace: &'static str,
    pub(super) at: &'static str,
    pub(super) who: &'static str,
    pub(super) served_by: &'static str,
    pub(super) result: &'static str,
    pub(super) time: &'static str,
    pub(super) tokens: &'static str,
    pub(super) tool: &'static str,
    pub(super) release: &'static str,
    pub(super) upstream: &'static str,
    pub(super) contract: &'static str,
    /// That another model answered.
    pub(super) fallback: &'static str,
    pub(super) risk: &'static str,
    pub(super) input: &'static str,
    pub(super) output: &'static str,
    pub(super) feedback: &'static str,
    /// Parts of the rows.
    pub(super) user: &'static str,
    pub(super) tenant: &'static str,
    pub(super) none: &'static str,
    pub(super) stable: &'static str,
    pub(super) candidate: &'static str,
    pub(super) prompt: &'static str,
    pub(super) model: &'static str,
    pub(super) index: &'static str,
    pub(super) code: &'static str,
    pub(super) answered: &'static str,
    pub(super) queue: &'static str,
    pub(super) retrieval: &'static str,
    /// How many claims the answer makes, and how many of them lack what.
    pub(super) claims: &'static str,
    pub(super) uncited: &'static str,
    pub(super) ungrounded: &'static str,
    pub(super) first_token: &'static str,
    pub(super) generation: &'static str,
    pub(super) estimated: &'static str,
}

/// Of an eval run.
pub(super) struct EvalWords {
    pub(super) by_class: &'static str,
    /// The table's columns: class, cases, failed, no answer.
    pub(super) columns: [&'static str; 4],
    pub(super) no_answer: &'static str,
    pub(super) broken: &'static str,
    pub(super) fixed: &'static str,
    /// The last rows: accuracy, threshold, status.
    pub(super) accuracy: &'static str,
    pub(super) threshold: &'static str,
    pub(super) status: &'static str,
    pub(super) passed: &'static str,
    pub(super) failed: &'static str,
    pub(super) inconclusive: &'static str,
}

/// Of what a release can show.
pub(crate) struct PlanWords {
    /// The columns of the rungs: number, weight, look, requests, when it passes, for what it waits,
    /// what the next one may spoil.
    pub(crate) rungs: [&'static str; 7],
    pub(crate) metric: &'static str,
    pub(crate) line: &'static str,
    pub(crate) stable: &'static str,
    pub(crate) answers: &'static str,
    pub(crate) not_in_30_days: &'static str,
    pub(crate) over_30_days: &'static str,
    /// A harm beyond all that is looked for.
    pub(crate) more: &'static str,
    /// Nothing is excluded.
    pub(crate) any: &'static str,
    /// Above the table of what is rolled back.
    pub(crate) rolls_back: &'static str,
    /// Above the table of what stays hidden.
    pub(crate) hides: &'static str,
    pub(crate) requests_are: &'static str,
    pub(crate) more_means: &'static str,
    pub(crate) any_means: &'static str,
    pub(crate) rungs_left_out: &'static str,
    pub(crate) independence_unknown: &'static str,
    pub(crate) nothing_stored: &'static str,
    pub(crate) rate_given: &'static str,
    pub(crate) rate_of_days: &'static str,
    pub(crate) answers_of_stable: &'static str,
    pub(crate) answers_of_candidate: &'static str,
}

impl Words {
    /// The words of a language.
    pub(crate) fn of(lang: Lang) -> &'static Words {
        match lang {
            Lang::En => &EN,
            Lang::Zh => &ZH,
            Lang::Ja => &JA,
        }
    }
}

static EN: Words = Words {
    release: ReleaseWords {
        release: "release",
        ladder: "ladder",
        signal: "signal",
        pause: "pause",
        evidence: "evidence",
        by_order: "by order",
        taken_back: "taken back after its promotion",
        columns: [
            "line",
            "",
            "metric",
            "candidate",
            "stable",
            "difference",
            "at most",
            "roll back",
            "answers",
        ],
        lines: ["quality", "latency", "cost", "risk"],
        verdicts: VerdictWords {
            pass: "pass",
            over: "over",
            pause: "pause",
            hold: "hold",
            drift: "drift",
            unsure: "unsure",
            no_data: "no data",
            red_line: "red line",
            split: "split",
        },
        differences: "differences compare the arms only over the same periods; the arms' values \
                      are of the whole release",
    },
    trace: TraceWords {
        trace: "trace",
        at: "at",
        who: "who",
        served_by: "served by",
        result: "result",
        time: "time",
        tokens: "tokens",
        tool: "tool",
        release: "release",
        upstream: "upstream",
        contract: "contract",
        fallback: "fallback",
        risk: "risk",
        input: "input",
        output: "output",
        feedback: "feedback",
        user: "user",
        tenant: "tenant",
        none: "(none)",
        stable: "stable",
        candidate: "candidate",
        prompt: "prompt",
        model: "model",
        index: "index",
        code: "code",
        answered: "answered",
        queue: "queue",
        retrieval: "retrieval",
        claims: "claims",
        uncited: "without citation",
        ungrounded: "without support",
        first_token: "first token",
        generation: "generation",
        estimated: "(estimated)",
    },
    eval: EvalWords {
        by_class: "Failures by class",
        columns: ["class", "cases", "failed", "no answer"],
        no_answer: "no answer",
        broken: "broken",
        fixed: "fixed",
        accuracy: "Accuracy:",
        threshold: "Threshold:",
        status: "Status:",
        passed: "PASSED",
        failed: "FAILED",
        inconclusive: "INCONCLUSIVE",
    },
    plan: PlanWords {
        rungs: [
            "rung",
            "weight",
            "look",
            "requests",
            "passes after",
            "waits for",
            "next may spoil",
        ],
        metric: "metric",
        line: "line",
        stable: "stable",
        answers: "answers",
        not_in_30_days: "not in 30 days",
        over_30_days: "over 30 days",
        more: "more",
        any: "any",
        rolls_back: "a candidate this much worse is typically rolled back by the end of the rung's \
                     look:",
        hides: "a candidate that looks like stable may still be this much worse at the end of the \
                look; a rung that does not pass by then waits longer:",
        requests_are: "requests: the candidate's by the end of the look, in brackets by the time \
                       the rung passes; next may spoil: requests of the next rung that harm not \
                       yet excluded may spoil (`release.bad_budget`).",
        more_means: "more: even the largest harm that was tried is not proven by then.",
        any_means: "any: no size of harm is excluded by then; the rung waits longer than its look.",
        rungs_left_out: "the rungs between the first five and the last are in `--json`.",
        independence_unknown: "of two times, the first takes requests to be independent, the \
                               second takes four requests of a user to count as one; a release \
                               measures the real number, `--design-effect` gives it.",
        nothing_stored: "nothing is stored of stable yet: its values are guessed; `--expect` gives \
                         them",
        rate_given: "as given",
        rate_of_days: "as in recent days",
        answers_of_stable: "stable answers",
        answers_of_candidate: "candidate answers",
    },
};

static ZH: Words = Words {
    release: ReleaseWords {
        release: "发布",
        ladder: "阶梯",
        signal: "信号",
        pause: "暂停",
        evidence: "证据包",
        by_order: "按指令",
        taken_back: "转正后被回滚",
        columns: ["线", "", "指标", "候选版", "稳定版", "相差", "最多", "回滚线", "回答数"],
        lines: ["质量", "延迟", "成本", "风险"],
        verdicts: VerdictWords {
            pass: "通过",
            over: "超限",
            pause: "暂停",
            hold: "保持",
            drift: "漂移",
            unsure: "未定",
            no_data: "无数据",
            red_line: "红线",
            split: "分流",
        },
        differences: "“相差”只比较同一时段的两侧；两侧各自的数值是整个发布期间的",
    },
    trace: TraceWords {
        trace: "请求",
        at: "时间",
        who: "来自",
        served_by: "版本",
        result: "结果",
        time: "耗时",
        tokens: "token",
        tool: "工具",
        release: "发布",
        upstream: "上游",
        contract: "契约",
        fallback: "后备",
        risk: "风险",
        input: "输入",
        output: "输出",
        feedback: "反馈",
        user: "用户",
        tenant: "租户",
        none: "（无）",
        stable: "稳定版",
        candidate: "候选版",
        prompt: "提示词",
        model: "模型",
        index: "索引",
        code: "代码",
        answered: "已回答",
        queue: "排队",
        retrieval: "检索",
        claims: "陈述",
        uncited: "无引用",
        ungrounded: "无依据",
        first_token: "首 token",
        generation: "生成",
        estimated: "（估算）",
    },
    eval: EvalWords {
        by_class: "按类别的失败",
        columns: ["类别", "用例", "失败", "没有回答"],
        no_answer: "没有回答",
        broken: "变坏",
        fixed: "修好",
        accuracy: "正确率：",
        threshold: "门槛：",
        status: "状态：",
        passed: "通过 PASSED",
        failed: "未通过 FAILED",
        inconclusive: "无法判断 INCONCLUSIVE",
    },
    plan: PlanWords {
        rungs: ["级", "权重", "观察", "请求数", "多久通过", "在等", "下一级可能损坏"],
        metric: "指标",
        line: "回滚线",
        stable: "稳定版",
        answers: "回答",
        not_in_30_days: "30 天内不会",
        over_30_days: "超过 30 天",
        more: "更大",
        any: "任意",
        rolls_back: "危害达到下面的值时，这一级观察结束之前通常就会回滚：",
        hides: "观察结束时，看上去与稳定版一样，仍可能藏着下面这么大的危害；到时没有通过的一级会等得更久：",
        requests_are: "请求数是候选版的，括号里是通过时的数目；“下一级可能损坏”是尚未排除的危害\
                       在下一级可能损坏的请求数（`release.bad_budget`）。",
        more_means: "更大：试算的最大危害到时也还不能得到证明。",
        any_means: "任意：到时什么危害都还不能排除；这一级会等得比观察时间更久。",
        rungs_left_out: "前五级与最后一级之间的各级，见 `--json`。",
        independence_unknown: "两个时间里，前一个假定请求彼此独立，后一个假定四个请求只抵一个；\
                               发布会说出实际是多少，用 `--design-effect` 给出。",
        nothing_stored: "还没有存下稳定版的数据：其数值是估计的，可用 `--expect` 给出",
        rate_given: "按给定的值",
        rate_of_days: "按近几天",
        answers_of_stable: "稳定版的回答",
        answers_of_candidate: "候选版的回答",
    },
};

static JA: Words = Words {
    release: ReleaseWords {
        release: "リリース",
        ladder: "段階",
        signal: "信号",
        pause: "停止",
        evidence: "証拠",
        by_order: "指示による",
        taken_back: "昇格後にロールバック",
        columns: ["分野", "", "指標", "候補版", "安定版", "差", "最大", "ロールバック", "回答数"],
        lines: ["品質", "遅延", "コスト", "リスク"],
        verdicts: VerdictWords {
            pass: "通過",
            over: "超過",
            pause: "停止",
            hold: "維持",
            drift: "変動",
            unsure: "未定",
            no_data: "データ無",
            red_line: "赤線",
            split: "配分",
        },
        differences: "差は区間ごとに同じ時間の両側を比べる。候補版と安定版の列は全体の値",
    },
    trace: TraceWords {
        trace: "トレース",
        at: "時刻",
        who: "誰が",
        served_by: "版",
        result: "結果",
        time: "所要時間",
        tokens: "トークン",
        tool: "ツール",
        release: "リリース",
        upstream: "上流",
        contract: "契約",
        fallback: "代替",
        risk: "リスク",
        input: "入力",
        output: "出力",
        feedback: "評価",
        user: "ユーザー",
        tenant: "テナント",
        none: "（なし）",
        stable: "安定版",
        candidate: "候補版",
        prompt: "プロンプト",
        model: "モデル",
        index: "索引",
        code: "コード",
        answered: "回答済み",
        queue: "待ち",
        retrieval: "検索",
        claims: "記述",
        uncited: "出典なし",
        ungrounded: "裏付けなし",
        first_token: "最初のトークン",
        generation: "生成",
        estimated: "（推定）",
    },
    eval: EvalWords {
        by_class: "分類別の失敗",
        columns: ["分類", "ケース", "失敗", "回答なし"],
        no_answer: "回答なし",
        broken: "悪化",
        fixed: "改善",
        accuracy: "正解率：",
        threshold: "しきい値：",
        status: "状態：",
        passed: "合格 PASSED",
        failed: "不合格 FAILED",
        inconclusive: "判定不能 INCONCLUSIVE",
    },
    plan: PlanWords {
        rungs: ["段階", "重み", "観察", "リクエスト", "通過まで", "待つ対象", "次で損なう数"],
        metric: "指標",
        line: "ロールバック",
        stable: "安定版",
        answers: "回答",
        not_in_30_days: "30 日以内に不可",
        over_30_days: "30 日超",
        more: "大",
        any: "不明",
        rolls_back: "害がこの値に達すると、その段階の観察が終わるまでに通常ロールバックする：",
        hides: "観察の終わりに安定版と同じに見えても、まだ隠れている可能性のある害。それまでに通過しない段階はさらに待つ：",
        requests_are: "リクエスト数は候補版のもの、括弧内は通過時の数。「次で損なう数」は、まだ排除されて\
                       いない害が次の段階で損なう可能性のあるリクエスト数（`release.bad_budget`）。",
        more_means: "大：調べる害のうち、これほど早く証明されるものはない。",
        any_means: "不明：その時点ではどの害も排除されない。その段階は観察時間より長く待つ。",
        rungs_left_out: "最初の五段階と最後の段階の間は `--json` にある。",
        independence_unknown: "二つの時間のうち、前者はリクエストが互いに独立、後者は四つで一つ分と仮定\
                               する。実際の値はリリースが示すので `--design-effect` で与える。",
        nothing_stored: "安定版のデータはまだない。その値は推測：`--expect` を参照",
        rate_given: "指定どおり",
        rate_of_days: "最近の実績",
        answers_of_stable: "安定版の回答",
        answers_of_candidate: "候補版の回答",
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr as _;

    #[test]
    fn labels_and_verdicts_fit_their_columns() {
        for lang in Lang::ALL {
            let Words { release, .. } = Words::of(lang);
            for label in [release.ladder, release.signal, release.pause, release.evidence] {
                assert!(label.width() <= 8, "{label}");
            }
            let VerdictWords { pass, over, pause, hold, drift, unsure, no_data, red_line, split } =
                &release.verdicts;
            for word in [pass, over, pause, hold, drift, unsure, no_data, red_line, split] {
                assert!(!word.is_empty() && word.width() <= 8, "{word}");
            }
            for line in release.lines {
                assert!(line.width() <= 8, "{line}");
            }
        }
    }
}
