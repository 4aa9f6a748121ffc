"""The forms in which prices, places and the texts of the newer categories are compared (G3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.fields import Value, location_of, match_keys, normal, price_of, same


@pytest.mark.parametrize(
    ("field", "a", "b"),
    [
        ("price", "12500000 SEK", "12500000.00 sek"),
        ("price", "12500000 SEK", "1.25e7  SEK"),
        ("price", "0 SEK", "-0.0 SEK"),
        ("location", "59.913868,10.752245", "59.9138680, 10.75224500001"),
        ("location", "0,0", "-0.0000001,0"),
        ("text", "Hei\r\nigjen", " Hei\nigjen "),
        ("job_title", "CFO ", "CFO"),
        ("classification", None, " "),
    ],
)
def test_two_spellings_of_one_value_mean_the_same(field: str, a: Value, b: Value) -> None:
    assert same(field, a, b)


@pytest.mark.parametrize(
    ("field", "a", "b"),
    [
        ("price", "12500000 SEK", "12500000 NOK"),
        ("price", "12500000 SEK", "12500000"),
        ("price", "12500000 SEK", "12500000.01 SEK"),
        ("price", "12500000 SEK", None),
        ("location", "59.913868,10.752245", "59.913869,10.752245"),
        ("classification", "interested", "Interested"),
        ("job_title", "CFO", "cfo"),
        ("text", "a b", "a  b"),
    ],
)
def test_two_values_stay_two(field: str, a: Value, b: Value) -> None:
    assert not same(field, a, b)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("12500000.50 sek", "12500000.5 SEK"),
        ("-1 EUR", "-1 EUR"),
        ("7", "7"),
        ("dyrt", None),
        ("1 2 SEK", None),
        ("NaN SEK", None),
        ("Infinity SEK", None),
        ("1e999999999 SEK", None),
        (f"{'9' * 40} SEK", None),
        ("", None),
    ],
)
def test_a_price_has_one_form(text: str, canonical: str | None) -> None:
    assert price_of(text) == canonical


@pytest.mark.parametrize(
    ("degrees", "canonical"),
    [
        (("59.9100", "10.75"), "59.91,10.75"),
        (("90", "-180"), "90,-180"),
        (("90.1", "0"), None),
        (("0", "181"), None),
        (("1",), None),
        (("1", "2", "3"), None),
        (("nord", "1"), None),
    ],
)
def test_a_place_has_one_form(degrees: tuple[str, ...], canonical: str | None) -> None:
    assert location_of(*degrees) == canonical


@given(
    st.sampled_from(["price", "location"]),
    st.text() | st.from_regex(r"-?[0-9]{1,30}[.eE,]?[0-9 ]{0,30}[A-Z]*"),
)
def test_a_form_is_its_own_form_and_no_text_makes_it_raise(field: str, text: str) -> None:
    once = normal(field, text)
    assert normal(field, once) == once


@pytest.mark.parametrize("category", ["project", "prospect", "link", "note", "property"])
def test_what_is_joined_by_its_parts_has_no_keys_to_match(category: str) -> None:
    assert match_keys(category, {"name": "Kvarnen AB", "email": "anna@example.se"}) == ()
