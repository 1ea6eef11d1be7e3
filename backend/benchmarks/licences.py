"""What a licence's name forbids, in words that stand beside the set. Pure; no lawyer's advice."""

import re

_FORBIDS = (
    (re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE), "not for commercial use"),
    (re.compile(r"\bND\b|no-?deriv", re.IGNORECASE), "not to be passed on changed"),
    (re.compile(r"\bSA\b|share-?alike", re.IGNORECASE), "to be passed on under the same licence only"),
    (
        re.compile(r"(not|none) (stated|checked)|was not checked|no licen[cs]e", re.IGNORECASE),
        "no licence is certain, so nothing but your own measuring is",
    ),
)


def restrictions(licence: str) -> str:
    """What it forbids, joined by semicolons; empty where nothing in its name does."""
    return "; ".join(words for pattern, words in _FORBIDS if pattern.search(licence))
