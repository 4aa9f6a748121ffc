"""Find companies that look like another one (model DuplicateCompany)."""

import re
from typing import Any

_FORMS = frozenset({"ab", "as", "asa", "aps", "oy", "hb", "kb", "ltd", "inc", "gmbh", "publ"})


def likeness(name: str, domain: str | None, other: dict[str, Any]) -> tuple[str, float] | None:
    """The strongest reason to take `other` for the same company: (method, score 0..1), or None."""
    if domain and other["domain"] == domain:
        return "Domain", 1.0
    ours, theirs = _words(name), _words(other["name"])
    if not ours or not theirs:
        return None
    if ours == theirs:
        return "NormalizedName", 1.0
    shared = set(ours) & set(theirs)
    smaller = min(len(set(ours)), len(set(theirs)))
    if len(shared) == smaller:
        return "TokenContainment", round(smaller / max(len(set(ours)), len(set(theirs))), 3)
    score = jaro_winkler(" ".join(ours), " ".join(theirs))
    return ("JaroWinkler", round(score, 3)) if score >= 0.9 else None


def _words(name: str) -> list[str]:
    return [word for word in re.findall(r"\w+", name.casefold()) if word not in _FORMS]


def jaro_winkler(a: str, b: str) -> float:
    """How alike two texts are, 0..1, with weight on a common beginning."""
    if a == b:
        return 1.0
    reach = max(max(len(a), len(b)) // 2 - 1, 0)
    free = set(range(len(b)))
    pairs = []
    for i, letter in enumerate(a):
        near = range(max(0, i - reach), min(len(b), i + reach + 1))
        j = next((j for j in near if j in free and b[j] == letter), None)
        if j is not None:
            free.discard(j)
            pairs.append((i, j))
    if not pairs:
        return 0.0
    common = len(pairs)
    in_b = [b[j] for j in sorted(j for _, j in pairs)]
    swapped = sum(a[i] != letter for (i, _), letter in zip(pairs, in_b, strict=True)) / 2
    jaro = (common / len(a) + common / len(b) + (common - swapped) / common) / 3
    start = next((k for k in range(min(4, len(a), len(b))) if a[k] != b[k]), min(4, len(a), len(b)))
    return jaro + start * 0.1 * (1 - jaro)
