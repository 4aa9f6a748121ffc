"""What was asked of a vendor and what it answered, for the operator who must see why: without secrets, and cut short."""

import json
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from daemon.domain.events import Exchange
from daemon.mappings.privacy import without_national_ids

LONGEST: Final = 4000
"""Characters of a body that are kept."""

TELLING: Final = re.compile(
    r"content-type|date|etag|if-match|idempotency-key|retry-after|ratelimit-.*|(x-)?(request|correlation|trace)-?id|"
    r"x-propstreet-.*|allow",
    re.IGNORECASE,
)
"""The headers that matter; no other is kept."""

HIDDEN: Final = "***"
SHORTEST: Final = 4
"""A secret of fewer characters is only found where a key names it."""

_NAMED: Final = re.compile(
    r'("[^"\\]*(?:password|passwd|secret|token|authorization|cookie|credential|api_?key)[^"\\]*"\s*:\s*)'
    r'("(?:[^"\\]|\\.)*"?|[^,}\]\s]+)',
    re.IGNORECASE,
)
_SPOKEN: Final = re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{4,}", re.IGNORECASE)


def exchange(
    method: str,
    path: str,
    sent: Mapping[str, str],
    body: bytes,
    status: int | None,
    headers: Mapping[str, str],
    answer: bytes,
) -> Exchange:
    """A call and its answer; `sent` are the request's headers, which also tell what must not be kept."""
    hidden = _secrets(sent.get("Authorization", ""))
    return Exchange(
        method,
        _scrubbed(path, hidden),
        _text(body, hidden),
        status,
        _headers(headers, hidden),
        _text(answer, hidden),
        _headers(sent, hidden),
    )


def _secrets(authorization: str) -> re.Pattern[str] | None:
    """A pattern of the credential, in each form that it may be repeated in."""
    kind, _, credential = authorization.partition(" ")
    found = {credential}
    patterns: set[str] = set()
    if kind == "Basic":
        pair = b64decode(credential).decode("utf-8", "replace")
        name, _, password = pair.partition(":")
        found |= {pair, password, quote(password, safe="")}
        found |= {json.dumps(password, ensure_ascii=plain)[1:-1] for plain in (True, False)}
        if name:
            patterns.add(rf"(?<!\w){re.escape(name)}(?!\w)")
    patterns |= {re.escape(secret) for secret in found if len(secret) >= SHORTEST}
    return re.compile("|".join(sorted(patterns, key=len, reverse=True))) if patterns else None


def _headers(headers: Mapping[str, str], hidden: re.Pattern[str] | None) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if TELLING.fullmatch(name)}
    return {name: _scrubbed(value, hidden)[:200] for name, value in sorted(kept.items())}


def _text(body: bytes, hidden: re.Pattern[str] | None) -> str:
    text = _scrubbed(without_national_ids(body).decode("utf-8", "replace"), hidden).replace("\0", "\ufffd")
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def _scrubbed(text: str, hidden: re.Pattern[str] | None) -> str:
    text = _SPOKEN.sub(rf"\1 {HIDDEN}", _NAMED.sub(rf'\1"{HIDDEN}"', text))
    return text if hidden is None else hidden.sub(HIDDEN, text)
