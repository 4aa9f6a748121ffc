"""Standard Webhooks signatures: HMAC-SHA256 over `{id}.{timestamp}.{raw body}`."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from daemon.domain.errors import InvalidSignature

TOLERANCE: Final = 300
"""Seconds that a delivery's timestamp may be off, either way."""


def key_of(secret: str) -> bytes:
    """The key of a `whsec_` secret; raises ValueError when it is no base64."""
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The delivery's id, if a `v1` signature of it is by one of the keys and its time is near `now` (Unix seconds).

    Raises InvalidSignature; the text says which check failed and nothing else.
    """
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not message_id or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise InvalidSignature("webhook-id or webhook-timestamp is missing or malformed")
    if abs(now - int(timestamp)) > TOLERANCE:
        raise InvalidSignature("webhook-timestamp is more than five minutes off")
    signed = f"{message_id}.{timestamp}.".encode() + body
    wanted = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    for signature in headers.get("webhook-signature", "").split():
        version, _, text = signature.partition(",")
        given = _decoded(text) if version == "v1" else b""
        if any(hmac.compare_digest(each, given) for each in wanted):
            return message_id
    raise InvalidSignature("no signature fits")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
