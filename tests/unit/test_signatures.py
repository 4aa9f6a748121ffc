"""Signatures of deliveries, against the Standard Webhooks library."""

import base64
import binascii
import hashlib
import hmac
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from daemon.domain.errors import InvalidSignature
from daemon.domain.signatures import TOLERANCE, key_of, verify

KEY = bytes(range(24))
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
NOW = 1_790_000_000
BODY = '{"type":"contact.updated","data":{"id":"789","lastName":"Åsén"}}'.encode()


def signature(body: bytes = BODY, *, key: bytes = KEY, message: str = "msg_1", at: int = NOW) -> str:
    """What the library signs."""
    return Webhook(key).sign(message, datetime.fromtimestamp(at, UTC), body.decode())


def headers(signatures: str, *, message: str = "msg_1", at: int | str = NOW) -> dict[str, str]:
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": signatures}


def accepted(sent: dict[str, str], body: bytes = BODY, *, key: bytes = KEY, now: float = NOW) -> bool:
    try:
        verify([key], sent, body, now)
    except InvalidSignature:
        return False
    return True


@given(
    key=st.binary(min_size=1, max_size=64),
    message=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=40),
    at=st.integers(1, 4_000_000_000),
    body=st.text(max_size=200),
)
def test_what_the_library_signs_is_accepted(key: bytes, message: str, at: int, body: str) -> None:
    secret = f"whsec_{base64.b64encode(key).decode()}"
    sent = headers(signature(body.encode(), key=key, message=message, at=at), message=message, at=at)
    assert key_of(secret) == key
    assert verify([key_of(secret)], sent, body.encode(), at) == message


@given(
    key=st.sampled_from([KEY, b"another key"]),
    age=st.sampled_from([0, 299, 310, -299, -310]),
    mangled=st.sampled_from(["", "body", "id", "version", "several", "none"]),
)
def test_we_and_the_library_are_of_one_mind(key: bytes, age: int, mangled: str) -> None:
    now = int(time.time())
    right = signature(key=KEY, at=now - age)
    signatures = {
        "version": right.replace("v1,", "v2,"),
        "several": f"v1,{base64.b64encode(b'x' * 32).decode()} v1a,abc= {right}",
        "none": "",
    }
    sent = headers(
        signatures.get(mangled, right), message="msg_2" if mangled == "id" else "msg_1", at=now - age
    )
    body = BODY + b" " if mangled == "body" else BODY
    try:
        Webhook(key).verify(body, sent, json_parse=False)
        theirs = True
    except WebhookVerificationError:
        theirs = False
    assert accepted(sent, body, key=key, now=now) is theirs


@given(st.data())
def test_a_single_changed_byte_is_refused(data: st.DataObject) -> None:
    part = data.draw(st.sampled_from(["body", "id", "timestamp", "signature"]))
    message, at, given_signature, body = b"msg_1", str(NOW).encode(), signature().encode(), BODY
    whole = {"body": body, "id": message, "timestamp": at, "signature": given_signature[3:]}[part]
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    changed = whole[:place] + bytes([other]) + whole[place + 1 :]
    sent = headers(signature())
    match part:
        case "body":
            body = changed
        case "id":
            sent["webhook-id"] = changed.decode("latin-1")
        case "timestamp":
            sent["webhook-timestamp"] = changed.decode("latin-1")
        case "signature":
            sent["webhook-signature"] = "v1," + changed.decode("latin-1")
            if _decodes_to_the_same(changed, whole):
                return
    assert not accepted(sent, body, now=NOW)


def _decodes_to_the_same(changed: bytes, whole: bytes) -> bool:
    """The last sign before the padding has two bits that mean nothing, and blanks separate signatures."""
    try:
        return base64.b64decode(changed.split()[0]) == base64.b64decode(whole)
    except (binascii.Error, IndexError):
        return False


@given(st.binary(min_size=1, max_size=60).filter(lambda key: key != KEY))
def test_another_key_is_refused(key: bytes) -> None:
    assert not accepted(headers(signature()), key=key)


def test_of_several_signatures_one_that_fits_is_enough() -> None:
    old = signature(key=b"the key before the rotation")
    assert accepted(headers(f"{old} {signature()}"))
    assert accepted(headers(f"{signature()} {old}"))
    assert not accepted(headers(f"{old} {old}"))


@pytest.mark.parametrize("version", ["v0", "v1a", "v2", "V1", ""])
def test_an_unknown_version_counts_for_nothing(version: str) -> None:
    text = signature().partition(",")[2]
    assert not accepted(headers(f"{version},{text}"))
    assert accepted(headers(f"{version},{text} v1,{text}"))


@pytest.mark.parametrize(
    ("off", "right"),
    [(0, True), (TOLERANCE, True), (-TOLERANCE, True), (TOLERANCE + 1, False), (-TOLERANCE - 1, False)],
)
def test_a_delivery_may_be_five_minutes_off_either_way(off: int, right: bool) -> None:
    sent = headers(signature(at=NOW + off), at=NOW + off)
    assert accepted(sent, now=NOW) is right


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_every_header_must_be_there(missing: str) -> None:
    sent = headers(signature())
    assert not accepted({name: text for name, text in sent.items() if name != missing})
    assert not accepted(sent | {missing: ""})


@pytest.mark.parametrize("at", ["now", "-1", "1e9", "1790000000.0", " 1790000000", "١٧٩٠٠٠٠٠٠٠", "9" * 400])
def test_a_timestamp_is_whole_seconds_in_digits(at: str) -> None:
    assert not accepted(headers(signature(), at=at))


@pytest.mark.parametrize("text", ["", "v1", "v1,", "v1,é", "v1,not base64", ",", "v1,AAAA,BBBB"])
def test_a_malformed_signature_is_refused_and_nothing_else_happens(text: str) -> None:
    assert not accepted(headers(text))
    assert accepted(headers(f"{text} {signature()}"))


def test_a_body_that_is_no_text_is_signed_like_any_other() -> None:
    body = b"\xff\x00\xfe"
    mac = hmac.new(KEY, f"msg_1.{NOW}.".encode() + body, hashlib.sha256).digest()
    assert accepted(headers(f"v1,{base64.b64encode(mac).decode()}"), body)


def test_the_prefix_of_a_secret_may_be_left_out_and_rubbish_is_no_secret() -> None:
    assert key_of(SECRET) == key_of(SECRET.removeprefix("whsec_")) == KEY
    with pytest.raises(ValueError, match="base64"):
        key_of("whsec_not base64!")


def test_a_refusal_tells_neither_the_signature_nor_the_key() -> None:
    with pytest.raises(InvalidSignature) as refusal:
        verify([KEY], headers(signature(key=b"x")), BODY, NOW)
    assert base64.b64encode(KEY).decode() not in str(refusal.value)
    assert signature().partition(",")[2] not in str(refusal.value)
