#!/usr/bin/env python3
"""BLEU with sacrebleu's `ja-mecab`, for the check `command`.

    python3 -m pip install 'sacrebleu[ja]'

    evals:
      commands:
        bleu_ja: [python3, checks/bleu_ja_mecab.py]

A case needs `expected`; the score is sacrebleu's over 100, and holds from 0.5 on unless a threshold
is given.
"""

import json
import sys

try:
    import MeCab  # noqa: F401  sacrebleu asks for it when it first splits a text
    import ipadic  # noqa: F401
    from sacrebleu.metrics import BLEU
except ImportError as error:
    sys.exit(f"{error}: python3 -m pip install 'sacrebleu[ja]'")

case = json.load(sys.stdin)
if not case.get("expected"):
    sys.exit("the case has no `expected`")
bleu = BLEU(tokenize="ja-mecab", effective_order=True)
score = bleu.sentence_score(case["answer"], [case["expected"]]).score / 100
print(json.dumps({"score": score, "reason": f"BLEU is {score:.3f}"}))
