//! The words of the page and of the summary, in each language. Names of classes, checks and metrics
//! are keys and stay as they are; what a check found is kept in English.

use crate::lang::Lang;
use tidegate_core::gate::GateVerdict;

/// The words of one language.
pub(super) struct Words {
    pub(super) lang: Lang,
    /// Passed, failed, inconclusive.
    verdicts: [&'static str; 3],
    pub(super) by_class: &'static str,
    /// Class, cases, failed, no answer.
    pub(super) columns: [&'static str; 4],
    pub(super) failed: &'static str,
    pub(super) no_answer: &'static str,
    pub(super) flaky: &'static str,
    pub(super) correct: &'static str,
    pub(super) model: &'static str,
    pub(super) version_set: &'static str,
    pub(super) run: &'static str,
    pub(super) cases: &'static str,
    pub(super) case: &'static str,
    pub(super) what: &'static str,
    /// Broken, fixed, new.
    pub(super) changes: [&'static str; 3],
    /// Metric, cases, before, now, p, beyond chance.
    pub(super) tests: [&'static str; 6],
    /// Worse, better, no change.
    pub(super) tested: [&'static str; 3],
    pub(super) unchanged: &'static str,
    pub(super) slices: &'static str,
    /// Slice, correct, accuracy, interval.
    pub(super) of_slices: [&'static str; 4],
    pub(super) too_few: &'static str,
    /// Text, status, class, slice, changed.
    pub(super) filters: [&'static str; 5],
    pub(super) all: &'static str,
    /// How many are shown, for the page's script.
    pub(super) shown: &'static str,
    pub(super) asked: &'static str,
    pub(super) should: &'static str,
    pub(super) reference: &'static str,
    pub(super) answer: &'static str,
    pub(super) answer_before: &'static str,
    pub(super) answer_as_before: &'static str,
    pub(super) rest: &'static str,
}

impl Words {
    pub(super) fn of(lang: Lang) -> &'static Words {
        match lang {
            Lang::En => &EN,
            Lang::Zh => &ZH,
            Lang::Ja => &JA,
        }
    }

    pub(super) fn verdict(&self, verdict: GateVerdict) -> &'static str {
        let [passed, failed, inconclusive] = self.verdicts;
        match verdict {
            GateVerdict::Pass => passed,
            GateVerdict::Fail => failed,
            GateVerdict::Inconclusive => inconclusive,
        }
    }

    /// The accuracy, how many of how many are correct, and what is needed.
    pub(super) fn accuracy(
        &self,
        share: &str,
        (correct, total): (usize, usize),
        need: &str,
    ) -> String {
        match self.lang {
            Lang::En => {
                format!("accuracy {share}, {correct} of {total} cases correct; {need} needed")
            }
            Lang::Zh => format!("正确率 {share}，{total} 个用例里 {correct} 个正确；需要 {need}"),
            Lang::Ja => {
                format!("正解率 {share}、{total} 件中 {correct} 件が正解。必要なのは {need}")
            }
        }
    }

    pub(super) fn against(&self, run: &str) -> String {
        match self.lang {
            Lang::En => format!("Against run {run}"),
            Lang::Zh => format!("与运行 {run} 相比"),
            Lang::Ja => format!("実行 {run} との比較"),
        }
    }

    pub(super) fn smallest_drop(&self, points: f64) -> String {
        match self.lang {
            Lang::En => {
                format!("The smallest drop of accuracy that these cases show: {points:.1} points.")
            }
            Lang::Zh => format!("这些用例能看出的正确率最小下降：{points:.1} 个百分点。"),
            Lang::Ja => format!("このケースで分かる正解率の最小の低下：{points:.1} ポイント。"),
        }
    }

    /// A metric before and now.
    pub(super) fn metric(
        &self,
        (name, cases): (&str, u64),
        (before, now, p): (f64, f64, f64),
    ) -> String {
        let change = format!("{name} {before:.3} → {now:.3}");
        match self.lang {
            Lang::En => format!("{change} over {cases} cases, p {p:.4}"),
            Lang::Zh => format!("{change}，{cases} 个用例，p {p:.4}"),
            Lang::Ja => format!("{change}、{cases} 件、p {p:.4}"),
        }
    }

    pub(super) fn flaky_cases(&self, count: usize) -> String {
        match self.lang {
            Lang::En => format!("Flaky cases: {count}"),
            Lang::Zh => format!("时对时错：{count} 个用例"),
            Lang::Ja => format!("不安定：{count} 件"),
        }
    }

    /// How often a flaky case was correct.
    pub(super) fn correct_in(&self, passed: u32, answered: u32) -> String {
        match self.lang {
            Lang::En => format!("correct in {passed} of {answered} repeats"),
            Lang::Zh => format!("{answered} 次重复里正确 {passed} 次"),
            Lang::Ja => format!("{answered} 回の繰り返しのうち {passed} 回が正解"),
        }
    }

    pub(super) fn more_cases(&self, count: usize) -> String {
        match self.lang {
            Lang::En => format!("{count} more cases are in the report's JSON file."),
            Lang::Zh => format!("另有 {count} 个用例在报告的 JSON 文件里。"),
            Lang::Ja => format!("ほか {count} 件はレポートの JSON ファイルにある。"),
        }
    }

    pub(super) fn more_reasons(&self, count: usize) -> String {
        match self.lang {
            Lang::En => format!("{count} more reasons"),
            Lang::Zh => format!("另有 {count} 条理由"),
            Lang::Ja => format!("ほか {count} 件の理由"),
        }
    }

    pub(super) fn more_lines(&self, count: usize) -> String {
        match self.lang {
            Lang::En => format!("{count} more lines are in the report."),
            Lang::Zh => format!("另有 {count} 行在报告里。"),
            Lang::Ja => format!("ほか {count} 行はレポートにある。"),
        }
    }
}

static EN: Words = Words {
    lang: Lang::En,
    verdicts: ["PASSED", "FAILED", "INCONCLUSIVE"],
    by_class: "Failures by class",
    columns: ["class", "cases", "failed", "no answer"],
    failed: "failed",
    no_answer: "no answer",
    flaky: "flaky",
    correct: "correct",
    model: "model",
    version_set: "version set",
    run: "run",
    cases: "Cases",
    case: "case",
    what: "what",
    changes: ["broken", "fixed", "new"],
    tests: ["metric", "cases", "before", "now", "p, corrected", "beyond chance"],
    tested: ["worse", "better", "no"],
    unchanged: "No metric changed beyond chance.",
    slices: "Slices, the worst first",
    of_slices: ["slice", "correct", "accuracy", "95 % interval"],
    too_few: "too few cases to decide anything",
    filters: ["text", "status", "class", "slice", "changed"],
    all: "all",
    shown: "{shown} of {all} cases",
    asked: "asked",
    should: "should happen",
    reference: "reference",
    answer: "answer",
    answer_before: "answer before",
    answer_as_before: "answer, as before",
    rest: "(the rest is in the JSON file)",
};

static ZH: Words = Words {
    lang: Lang::Zh,
    verdicts: ["通过 PASSED", "未通过 FAILED", "无法判断 INCONCLUSIVE"],
    by_class: "按类别的失败",
    columns: ["类别", "用例", "失败", "没有回答"],
    failed: "失败",
    no_answer: "没有回答",
    flaky: "时对时错",
    correct: "正确",
    model: "模型",
    version_set: "版本集",
    run: "运行",
    cases: "用例",
    case: "用例",
    what: "问题",
    changes: ["变坏", "修好", "新增"],
    tests: ["指标", "用例", "之前", "现在", "p（已校正）", "超出偶然"],
    tested: ["变差", "变好", "否"],
    unchanged: "没有指标的变化超出偶然。",
    slices: "切片，最差的在前",
    of_slices: ["切片", "正确", "正确率", "95 % 区间"],
    too_few: "用例太少，不作判定",
    filters: ["文字", "状态", "类别", "切片", "有变化"],
    all: "全部",
    shown: "{all} 个用例里显示 {shown} 个",
    asked: "问题",
    should: "应当",
    reference: "参考回答",
    answer: "回答",
    answer_before: "之前的回答",
    answer_as_before: "回答，与之前相同",
    rest: "（其余在 JSON 文件里）",
};

static JA: Words = Words {
    lang: Lang::Ja,
    verdicts: ["合格 PASSED", "不合格 FAILED", "判定不能 INCONCLUSIVE"],
    by_class: "分類別の失敗",
    columns: ["分類", "ケース", "失敗", "回答なし"],
    failed: "失敗",
    no_answer: "回答なし",
    flaky: "不安定",
    correct: "正解",
    model: "モデル",
    version_set: "バージョンセット",
    run: "実行",
    cases: "ケース",
    case: "ケース",
    what: "内容",
    changes: ["悪化", "改善", "新規"],
    tests: ["指標", "ケース", "前", "今回", "p（補正後）", "偶然を超える"],
    tested: ["悪化", "改善", "いいえ"],
    unchanged: "偶然を超える指標の変化はない。",
    slices: "スライス、悪い順",
    of_slices: ["スライス", "正解", "正解率", "95 % 区間"],
    too_few: "件数が少なく、判定に使わない",
    filters: ["文字", "状態", "分類", "スライス", "変化あり"],
    all: "すべて",
    shown: "{all} 件中 {shown} 件を表示",
    asked: "質問",
    should: "期待される動作",
    reference: "参照回答",
    answer: "回答",
    answer_before: "前の回答",
    answer_as_before: "回答（前と同じ）",
    rest: "（残りは JSON ファイルにある）",
};
