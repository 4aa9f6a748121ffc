"""National ids never reach the log; everything else does, byte for byte (G7)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.mappings.privacy import without_national_ids

SECRET = ("socialSecurityNumber", "dateOfBirth", "SocialSecurityNumber", "DATEOFBIRTH")
KEYS = st.sampled_from([*SECRET, "id", "note", "isForeignSocialSecurityNumber", 'so"cial', "a\\"]) | st.text(
    max_size=6
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(SECRET)
    | st.just('"socialSecurityNumber": "1"')
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)


def redacted(document: Any) -> Any:
    """The oracle: the same on the decoded document."""
    if isinstance(document, list):
        return [redacted(element) for element in document]
    if isinstance(document, dict):
        secret = {name.lower() for name in SECRET}
        return {key: None if key.lower() in secret else redacted(value) for key, value in document.items()}
    return document


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 2, "\t"]))
def test_exactly_the_national_ids_become_null(document: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    raw = text.encode("utf-8", "surrogatepass")
    found = json.loads(without_national_ids(raw).decode("utf-8", "surrogatepass"))
    assert found == redacted(document)


@given(st.binary())
def test_no_bytes_make_it_raise(raw: bytes) -> None:
    without_national_ids(raw)
    without_national_ids(b'{"dateOfBirth":' + raw)


@given(st.binary() | DOCUMENTS.map(lambda document: json.dumps(document).encode()))
def test_once_is_as_good_as_twice(raw: bytes) -> None:
    once = without_national_ids(raw)
    assert without_national_ids(once) == once


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (
            b'{ "socialSecurityNumber" :\t"19700101-0001" ,"id":"A"}',
            b'{ "socialSecurityNumber" :\tnull ,"id":"A"}',
        ),
        (b'{"dateOfBirth":19700101}', b'{"dateOfBirth":null}'),
        (b'{"dateOfBirth":{"y":"}","m":[1,"]"]},"a":1.50}', b'{"dateOfBirth":null,"a":1.50}'),
        (b'{"social\\u0053ecurityNumber":"1"}', b'{"social\\u0053ecurityNumber":null}'),
        (b'{"dateOfBirth":"a\\"b","dateOfBirth":"c"}', b'{"dateOfBirth":null,"dateOfBirth":null}'),
        (
            b'[{"p":{"socialsecuritynumber":"1"}},{"x":"\\u00e5"}]',
            b'[{"p":{"socialsecuritynumber":null}},{"x":"\\u00e5"}]',
        ),
    ],
)
def test_the_value_is_replaced_in_place(raw: bytes, kept: bytes) -> None:
    assert without_national_ids(raw) == kept


@pytest.mark.parametrize(
    "raw",
    [
        b'{"note":"socialSecurityNumber"}',
        b'{"note":"\\"socialSecurityNumber\\":\\"1\\""}',
        b'{"isForeignSocialSecurityNumber":true}',
        b'["dateOfBirth","dateOfBirth"]',
        b'{"id" : "A",  "amount":1.0e5}',
        b'{"dateOfBirth":null}',
        b"",
        b"not JSON at all",
    ],
)
def test_what_is_no_national_id_stays_byte_for_byte(raw: bytes) -> None:
    assert without_national_ids(raw) == raw


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b'{"socialSecurityNumber":"19700101', b'{"socialSecurityNumber":null'),
        (b'{"dateOfBirth":{"y":1970', b'{"dateOfBirth":null'),
        (b'oops {"dateOfBirth":1970-01-01} oops', b'oops {"dateOfBirth":null} oops'),
    ],
)
def test_a_broken_text_loses_its_national_ids_too(raw: bytes, kept: bytes) -> None:
    assert without_national_ids(raw) == kept
