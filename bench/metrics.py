#!/usr/bin/env python3
"""Writes crates/core/tests/metrics: pairs of texts and paired samples, and what packages say of them.

    python3 -m venv /tmp/metrics && /tmp/metrics/bin/pip install \
        sacrebleu==2.6.0 rouge-score==0.1.2 nltk==3.10.4 scipy==1.17.1
    /tmp/metrics/bin/python bench/metrics.py

The pairs are made here, from the words below and a fixed seed: English, Chinese, Japanese, mixed
texts, emoji, and the odd characters that tokenisers trip over. BLEU, chrF, GLEU and ROUGE are the
packages'. SQuAD's and CMRC 2018's scores follow their published scripts; CMRC's parts in Latin
script are split at white space, where the script uses NLTK's tokeniser, which needs its data.
"""

import collections
import json
import pathlib
import random
import re
import string

import numpy
from nltk.metrics.distance import edit_distance
from nltk.translate.gleu_score import sentence_gleu
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF
from scipy import optimize, stats

RANDOM = random.Random(20261129)

ENGLISH = """the a an refund order number was sent to your address within 14 days please contact our
team for 1,000.50 USD at 3:30 p.m. we can't don't e-mail re-order state-of-the-art "policy" (see
section 4.2) it's $5 50% A&B &amp; &quot;quoted&quot; x<y yes, no. really? well; Tokyo naïve café
Über ½ 10-20 -5 http://example.com/a?b=c user@example.com snake_case C++ #1""".split()
CHINESE = """退款 将 在 十四 天 之内 到账 ， 请 提供 订单号 。 我们 支持 七天 无理由 退货 ！ 您 的 包裹
“已 签收” 《服务条款》 第三条 规定 ： 运费 由 买家 承担 ； 如果 有 问题 ？ （客服） 电话 400-800 价格
￥99.5 、 是 不是 没有 可以 一二三 ２０２５年 、 …… ——""".split()
JAPANESE = """返金 は 十四日 以内 に 行います 。 ご注文 番号 を お知らせ ください 、 配送先 の 変更 が
できます か ？ 「お問い合わせ」 メール で 確認 しました ！ カスタマー サポート ｶﾞｲﾄﾞ ー 々 〜 ３日""".split()
EMOJI = "👍 😀 👨‍👩‍👧 🇯🇵 ❤️ ✅ → ★ ♥ ✂ ☎".split()
ODD = ["\u200b", "\u00a0", "\u3000", "\x1c", "\r\n", "\n", "-\n", "<skipped>", "𠀀", "𪚥", "﨑", "e\u0301",
       "İ", "K", "ß", "ﬁ", "한국어", "안녕", "привет", "مرحبا", "हिन्दी", "ไทย", "\u2028", "١٢٣", "Ⅳ", "①",
       "“curly”", "‘x’", "—", "…", "ｆｕｌｌ", "ＡＢＣ", "，", "a_b", "_the_", "theß", "x̂", "&lt;b&gt;", "\\", "\t"]

KINDS = {
    "en": (ENGLISH, " "),
    "zh": (CHINESE, ""),
    "ja": (JAPANESE, ""),
    "emoji": (EMOJI + ENGLISH[:12] + CHINESE[:8], " "),
    "mixed": (ENGLISH[:30] + CHINESE[:20] + JAPANESE[:15] + EMOJI, ""),
    "odd": (ODD + ENGLISH[:10] + CHINESE[:6] + JAPANESE[:4], ""),
}


def sentence(kind):
    words, glue = KINDS[kind]
    count = RANDOM.choice([1, 2, 3, 4, 5, 6, 8, 10, 14])
    return [RANDOM.choice(words) for _ in range(count)], glue


def changed(words, kind):
    """The words with some left out, doubled, replaced or in another place."""
    words = list(words)
    for _ in range(RANDOM.choice([0, 1, 1, 2, 3, 6])):
        at = RANDOM.randrange(len(words) + 1)
        what = RANDOM.randrange(4)
        if what == 0 and words:
            words.pop(min(at, len(words) - 1))
        elif what == 1:
            words.insert(at, RANDOM.choice(KINDS[kind][0]))
        elif what == 2 and words:
            words[min(at, len(words) - 1)] = RANDOM.choice(KINDS[kind][0])
        elif words:
            words.insert(at, words.pop(RANDOM.randrange(len(words))))
    return words


def pair(kind):
    words, glue = sentence(kind)
    references = [glue.join(changed(words, kind))]
    if RANDOM.random() < 0.25:
        references.append(glue.join(changed(words, kind)))
    answer = glue.join(words)
    if RANDOM.random() < 0.1:
        answer = RANDOM.choice([" ", "\n", "\u3000"]) + answer + RANDOM.choice([" ", "\n", "\x1f"])
    return answer, references


WIDE = ("\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
        "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9d\uac00-\ud7a3")


class Characters:
    """ROUGE's own words, and each Chinese, Japanese or Korean character."""

    def tokenize(self, text):
        return re.findall(f"[a-z0-9]+|[{WIDE}]", text.lower())


def squad(text):
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def squad_f1(answer, reference):
    ours, theirs = squad(answer).split(), squad(reference).split()
    if not ours or not theirs:
        return float(ours == theirs)
    both = sum((collections.Counter(ours) & collections.Counter(theirs)).values())
    if both == 0:
        return 0.0
    precision, recall = both / len(ours), both / len(theirs)
    return 2 * precision * recall / (precision + recall)


SKIPPED = set("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")


def cmrc_plain(text):
    return "".join(c for c in text.lower().strip() if c not in SKIPPED)


def cmrc_tokens(text):
    return re.sub("([\u4e00-\u9fa5])", r" \1 ", cmrc_plain(text)).split()


def cmrc_f1(answer, reference):
    ours, theirs = cmrc_tokens(answer), cmrc_tokens(reference)
    table = [[0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    longest = 0
    for i, a in enumerate(ours):
        for j, b in enumerate(theirs):
            if a == b:
                table[i + 1][j + 1] = table[i][j] + 1
                longest = max(longest, table[i + 1][j + 1])
    if longest == 0:
        return 0.0
    precision, recall = longest / len(ours), longest / len(theirs)
    return 2 * precision * recall / (precision + recall)


BLEUS = {name: BLEU(tokenize=name, effective_order=True) for name in ("13a", "zh", "char", "intl")}
CHRF2 = CHRF()
ROUGES = ["rouge1", "rouge2", "rougeL"]
BY_WORD = rouge_scorer.RougeScorer(ROUGES)
BY_CHARACTER = rouge_scorer.RougeScorer(ROUGES, tokenizer=Characters())


def scores(answer, references):
    reference = references[0]
    found = {}
    for name, bleu in BLEUS.items():
        found[f"bleu:{name}"] = bleu.sentence_score(answer, references).score
        tokens = [bleu._preprocess_segment(text).split() for text in (answer, reference)]
        found[f"gleu:{name}"] = float(sentence_gleu([tokens[1]], tokens[0]))
    found["chrf"] = CHRF2.sentence_score(answer, [reference]).score
    for by, scorer in (("en", BY_WORD), ("char", BY_CHARACTER)):
        for name, score in scorer.score(reference, answer).items():
            found[f"rouge_{name[5:].lower()}:{by}"] = float(score.fmeasure)
    found["em:en"] = float(squad(answer) == squad(reference))
    found["f1:en"] = squad_f1(answer, reference)
    found["em:cmrc"] = float(cmrc_plain(answer) == cmrc_plain(reference))
    found["f1:cmrc"] = cmrc_f1(answer, reference)
    found["edits"] = float(edit_distance(answer, reference))
    return found


def detectable(cases, fixed):
    """The drop that a comparison over so many cases shows in 80 % of runs; -1 where none is."""
    p = lambda broken: stats.binomtest(min(broken, fixed), broken + fixed, 0.5).pvalue
    needed = next((n for n in range(fixed + 1, cases + 1) if p(n) <= 0.05), None)
    if needed is None:
        return -1.0
    shown = lambda rate: stats.binom.sf(needed - 1, cases, rate) - 0.8
    return max(optimize.brentq(shown, 0.0, 1.0, xtol=1e-14) - fixed / cases, 0.0)


def paired():
    """Tests of paired samples, by scipy; Holm's by its definition."""
    rows = []
    for broken, fixed in [(0, 0), (1, 0), (5, 0), (6, 0), (8, 3), (3, 8), (40, 22), (700, 640)]:
        total = broken + fixed
        p = stats.binomtest(min(broken, fixed), total, 0.5).pvalue if total else 1.0
        rows.append({"test": "mcnemar", "broken": broken, "fixed": fixed, "result": [float(p)]})
    for _ in range(60):
        broken, fixed = RANDOM.randrange(60), RANDOM.randrange(1, 60)
        p = stats.binomtest(min(broken, fixed), broken + fixed, 0.5).pvalue
        rows.append({"test": "mcnemar", "broken": broken, "fixed": fixed, "result": [float(p)]})
    for _ in range(60):
        count = RANDOM.randrange(2, 13)
        values = [RANDOM.choice([0.0, 0.25, -0.25, 0.5, -1.0, 1.0, RANDOM.uniform(-1, 1)])
                  for _ in range(count)]
        found = stats.permutation_test((numpy.array(values),), numpy.mean, n_resamples=numpy.inf,
                                       permutation_type="samples", alternative="two-sided")
        rows.append({"test": "flips", "differences": values, "result": [float(found.pvalue)]})
    for _ in range(20):
        p = [round(RANDOM.random() ** 3, 4) for _ in range(RANDOM.randrange(1, 9))]
        order, result, least = sorted(range(len(p)), key=lambda at: p[at]), [1.0] * len(p), 0.0
        for rank, at in enumerate(order):
            least = max(least, min(1.0, (len(p) - rank) * p[at]))
            result[at] = least
        rows.append({"test": "holm", "p": p, "result": result})
    for cases in (5, 6, 7, 20, 100, 500, 1000):
        for fixed in (0, 1, 4, 25):
            drop = detectable(cases, fixed)
            rows.append({"test": "drop", "cases": cases, "fixed": fixed, "result": [float(drop)]})
    return rows


def main():
    pairs = [("", [""]), ("", ["退款"]), ("a", [""]), (" ", ["\n"]), ("the", ["a"]),
             ("the cat is on the mat", ["the cat sat on a mat", "there is a cat on the mat"])]
    for kind in KINDS:
        pairs += [pair(kind) for _ in range(135)]
    path = pathlib.Path(__file__).parent.parent / "crates/core/tests/metrics/pairs.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for answer, references in pairs:
            line = {"a": answer, "r": references, "scores": scores(answer, references)}
            text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
            # Line ends that are no ends of lines of this file.
            file.write(text.replace("\u2028", "\\u2028") + "\n")
    rows = paired()
    with (path.parent / "paired.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    print(f"{len(pairs)} pairs and {len(rows)} tests in {path.parent}")


if __name__ == "__main__":
    main()
