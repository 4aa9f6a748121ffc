"""What is kept of a refused call: enough to see why, no secret in any form, and no more than fits."""

import json
from base64 import b64encode
from urllib.parse import quote

import pytest

from daemon.vendors.exchanges import HIDDEN, LONGEST, exchange

NAME, PASSWORD = "partner-7", 'p"ä/ss\\w0rd'
BASIC = "Basic " + b64encode(f"{NAME}:{PASSWORD}".encode()).decode()
BEARER = "Bearer eyJhbGciOi.abc-DEF_123"


def told(answer: str, *, authorization: str = BASIC, body: bytes = b"{}", path: str = "/x") -> str:
    """An answer as it is kept."""
    sent = {"Authorization": authorization, "If-Match": 'W/"1"', "Accept": "application/json"}
    headers = {"Set-Cookie": "session=1", "Content-Type": "application/json", "Server": "nginx"}
    kept = exchange("PATCH", path, sent, body, 400, headers, answer.encode())
    assert kept.headers == {"Content-Type": "application/json"}
    assert kept.sent == {"If-Match": 'W/"1"'}
    return kept.answer


def test_the_words_of_both_are_kept() -> None:
    sent = b'{"email":"kari@example.no"}'
    kept = exchange("POST", "/contacts?revive=false", {}, sent, 422, {}, b'{"errors":{"email":["taken"]}}')
    assert (kept.method, kept.path, kept.status) == ("POST", "/contacts?revive=false", 422)
    assert (kept.body, kept.answer) == (sent.decode(), '{"errors":{"email":["taken"]}}')


@pytest.mark.parametrize(
    "said",
    [
        f"you sent {BASIC}",
        f"unknown user {NAME}",
        f"{NAME}:{PASSWORD}",
        json.dumps({"echo": PASSWORD}),
        json.dumps({"echo": PASSWORD}, ensure_ascii=False),
        f"bad password {PASSWORD}!",
        f"p={quote(PASSWORD, safe='')}",
    ],
)
def test_the_credential_pair_is_kept_in_no_form(said: str) -> None:
    kept = told(said)
    assert HIDDEN in kept
    for secret in (PASSWORD, NAME, BASIC.partition(" ")[2], "w0rd"):
        assert secret not in kept


@pytest.mark.parametrize(
    "said",
    [
        f"token {BEARER} expired",
        '{"access_token":"eyJhbGciOi.abc-DEF_123","a":1}',
        '{"headers":{"Authorization": "Bearer other.token.here", "Cookie":"sid=9999"}}',
        '{"client_secret" : "hush-hush"}',
        '{"apiKey":"hush-hush"}',
        '{"password": 12345678}',
        '{"Authorization":"Bearer hush-hush',
    ],
)
def test_tokens_and_what_is_named_a_secret_are_not_kept(said: str) -> None:
    kept = told(said, authorization=BEARER)
    for secret in ("eyJhbGciOi", "other.token", "9999", "hush", "12345678"):
        assert secret not in kept


def test_national_ids_are_not_kept() -> None:
    said = '{"socialSecurityNumber":"19121212-1212","dateOfBirth":"1912-12-12","firstName":"Kari"}'
    assert told(said) == '{"socialSecurityNumber":null,"dateOfBirth":null,"firstName":"Kari"}'


def test_a_long_body_is_cut_and_says_so() -> None:
    kept = told("x" * 70_000)
    assert len(kept) < LONGEST + 50
    assert kept.endswith("(70000 characters)")


def test_a_secret_that_lies_across_the_cut_leaves_no_part() -> None:
    kept = told("x" * (LONGEST - 8) + PASSWORD + "y" * 99)
    assert 'p"' not in kept


def test_what_is_no_text_is_kept_as_far_as_it_can_be() -> None:
    kept = exchange("POST", "/x", {}, b"\xff\x00a", None, {}, b"")
    assert (kept.body, kept.status) == ("\ufffd\ufffda", None)
