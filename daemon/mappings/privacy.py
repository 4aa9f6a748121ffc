"""National ids leave a payload before it is kept: their values become null, in place (G7).

The rest of the text stays byte for byte, so this works on the text and not on what it decodes to.
"""

import json
import re

_KEYS = frozenset({b"socialsecuritynumber", b"dateofbirth"})

# A key may be written with escapes: then only a closer look tells.
_SUSPECT = re.compile(rb'"socialsecuritynumber"|"dateofbirth"|\\u', re.IGNORECASE)
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_COLON = re.compile(rb"[ \t\r\n]*:[ \t\r\n]*")
_SCALAR = re.compile(rb"[^,\]}\s]*")
_BRACKET_OR_STRING = re.compile(rb'[\[\]{}"]')


def without_national_ids(raw: bytes) -> bytes:
    """Replace the values of `socialSecurityNumber` and `dateOfBirth`, at any depth, by null.

    Keys count without regard to case and to escapes; values may be of any kind. A text that is no JSON never
    makes this raise: what looks like such a key and a value is replaced there too, to the end if need be.
    """
    if not _SUSPECT.search(raw):
        return raw
    kept: list[bytes] = []
    start = at = 0
    while (at := raw.find(b'"', at)) >= 0 and (string := _STRING.match(raw, at)):
        at = string.end()
        if (colon := _COLON.match(raw, at)) and _is_secret(string[0]):
            kept.append(raw[start : colon.end()] + b"null")
            start = at = _end_of_value(raw, colon.end())
    kept.append(raw[start:])
    return b"".join(kept)


def _is_secret(token: bytes) -> bool:
    if b"\\" not in token:
        return token[1:-1].lower() in _KEYS
    try:
        key = json.loads(token)
    except ValueError:
        return False
    return isinstance(key, str) and key.lower().encode(errors="replace") in _KEYS


def _end_of_value(raw: bytes, at: int) -> int:
    """The place behind the value that begins at `at`; the end of the text when the value has none."""
    match raw[at : at + 1]:
        case b'"':
            string = _STRING.match(raw, at)
            return string.end() if string else len(raw)
        case b"{" | b"[":
            return _end_of_brackets(raw, at)
    scalar = _SCALAR.match(raw, at)
    return scalar.end() if scalar else at


def _end_of_brackets(raw: bytes, at: int) -> int:
    depth = 0
    while found := _BRACKET_OR_STRING.search(raw, at):
        at = found.end()
        match found[0]:
            case b'"':
                string = _STRING.match(raw, found.start())
                if not string:
                    return len(raw)
                at = string.end()
            case b"{" | b"[":
                depth += 1
            case _:
                depth -= 1
                if depth == 0:
                    return at
    return len(raw)
