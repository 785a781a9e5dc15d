#!/usr/bin/env python3
"""METEOR as nltk and Hugging Face's `evaluate` compute it, for the check `command`.

    python3 -m pip install nltk
    python3 -m nltk.downloader wordnet omw-1.4 punkt_tab

    evals:
      commands:
        meteor: [python3, checks/meteor.py]

A case needs `expected`; the score is 0 to 1, and holds from 0.5 on unless a threshold is given.
"""

import json
import sys

try:
    from nltk import word_tokenize
    from nltk.corpus import wordnet
    from nltk.translate.meteor_score import single_meteor_score
except ImportError as error:
    sys.exit(f"{error}: python3 -m pip install nltk")

case = json.load(sys.stdin)
if not case.get("expected"):
    sys.exit("the case has no `expected`")
try:
    wordnet.ensure_loaded()
    reference, answer = word_tokenize(case["expected"]), word_tokenize(case["answer"])
except LookupError:
    sys.exit("python3 -m nltk.downloader wordnet omw-1.4 punkt_tab")
score = single_meteor_score(reference, answer, alpha=0.9, beta=3, gamma=0.5)
print(json.dumps({"score": score, "reason": f"METEOR is {score:.3f}"}))
