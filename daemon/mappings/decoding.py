"""Decoding a vendor's JSON. What cannot be decoded becomes one error, whose text never quotes the payload."""

import json
from typing import TypeVar

import msgspec

from daemon.domain.errors import UntranslatablePayload

Payload = bytes | str | msgspec.Raw

T = TypeVar("T")


def decoded(payload: Payload, decoder: msgspec.json.Decoder[T], place: str) -> T:
    """Decode a payload; raises UntranslatablePayload. `place` is what the payload is, for the error's text."""
    try:
        try:
            return decoder.decode(payload)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            # msgspec refuses a lone surrogate even in a field that nobody maps; json takes it
            text = payload if isinstance(payload, str) else bytes(payload)
            return msgspec.convert(json.loads(text), decoder.type)
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        # msgspec's words name a type and a place; those of the standard library may quote the payload
        words = str(error) if isinstance(error, msgspec.ValidationError) else "not JSON"
        raise UntranslatablePayload(f"{place}: {words}") from None
