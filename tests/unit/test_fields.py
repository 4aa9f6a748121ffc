"""Values mean the same, or not (G3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.fields import Value, blank, domain_of, e164, match_keys, normal, same

FIELDS = (
    *("first_name", "last_name", "email", "phone", "tags", "strategy"),
    *("name", "organisation_number", "country", "website"),
)
TEXTS = st.one_of(
    st.text(st.characters(codec=None), max_size=30),  # lone surrogates, NULs and bidi marks among them
    st.from_regex(r"(\+|00)?[0-9 ()/-]{1,18}( (ext|x) ?[0-9]{1,4})?", fullmatch=True),
    st.from_regex(
        r"(?i)(https?://|www\.){0,3}[a-z]{1,5}(\.[a-z]{1,3}){0,2}/{0,2}[a-zA-Z ]{0,4}/?", fullmatch=True
    ),
    st.from_regex(r" ?[0-9]{0,6}[- ]?[0-9]{0,4}[A-Za-z]? ?", fullmatch=True),
)
VALUES: st.SearchStrategy[Value] = st.none() | TEXTS | st.lists(TEXTS, max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("field", "value", "form"),
    [
        ("first_name", "  Åsa ", "Åsa"),
        ("first_name", "A\u030asa", "Åsa"),  # a composed and a decomposed letter are one letter
        ("last_name", "\t", None),
        ("email", " Anna.Berg@Example.SE", "anna.berg@example.se"),
        ("phone", "070-174 06 05", "+46701740605"),  # C21
        ("phone", "+46 (0)70 174 06 05", "+46701740605"),
        ("phone", "0046 70 1740605", "+46701740605"),
        ("phone", "+47 400 00 012", "+4740000012"),
        ("phone", "08-123 45 67 ext 5", "+4681234567;ext=5"),
        ("phone", " ring växeln ", "ring växeln"),
        ("phone", "112", "112"),
        ("organisation_number", "556677-8899", "5566778899"),  # B2
        ("organisation_number", " DE 123-456 ", "DE 123-456"),  # foreign: as written
        ("organisation_number", "-", None),
        ("country", "", "SE"),  # B3
        ("country", None, "SE"),
        ("country", " no", "NO"),
        ("website", "https://www.Example.se/", "example.se"),  # W9
        ("website", "HTTP://example.se/Om/Oss//", "example.se/Om/Oss"),
        ("website", "https://", None),
        ("website", "https://www.XN--RKSMRGS-5WAO1O.example/Om", "räksmörgås.example/Om"),  # W11
        ("website", "xn--.example", "xn--.example"),
        ("email", "Info@xn--rksmrgs-5wao1o.example", "info@räksmörgås.example"),
        ("email", "xn--rksmrgs-5wao1o@example.se", "xn--rksmrgs-5wao1o@example.se"),
        ("strategy", " Kontor\r\n50 MNOK ", "Kontor\n50 MNOK"),
        ("strategy", "a\r\r\nb", "a\n\nb"),
        ("tags", ("vip", " buyer", "vip", ""), ("buyer", "vip")),
        ("tags", None, ()),
    ],
)
def test_the_normal_form_of_a_value(field: str, value: Value, form: Value) -> None:
    assert normal(field, value) == form


@pytest.mark.parametrize(
    ("field", "a", "b"),
    [
        ("first_name", "Anna", "anna"),  # a change of case is an edit
        ("website", "example.se/a", "example.se/A"),
        ("phone", "08-123 45 67", "08-123 45 67 ext 5"),
        ("country", None, "NO"),
        ("organisation_number", "DE123456", "FR123456"),
        ("strategy", "Kontor", None),
    ],
)
def test_values_that_differ_stay_different(field: str, a: Value, b: Value) -> None:
    assert not same(field, a, b)


def test_a_national_number_is_read_in_the_given_region() -> None:
    assert normal("phone", "400 00 012", "NO") == "+4740000012"
    assert normal("phone", "400 00 012", "NO") != normal("phone", "400 00 012", "SE")


def test_an_extension_never_gets_lost_in_e164() -> None:
    assert e164("08-123 45 67") == "+4681234567"
    assert e164("08-123 45 67 ext 5") is None
    assert e164("växeln") is None


@pytest.mark.parametrize("value", [None, "", " \t\u00a0", ()])
def test_blank_values_say_nothing(value: Value) -> None:
    assert blank(value)


@given(st.sampled_from(FIELDS), VALUES)
def test_a_normal_form_is_its_own_normal_form(field: str, value: Value) -> None:
    form = normal(field, value)
    assert normal(field, form) == form
    assert same(field, value, form)


@given(st.sampled_from(FIELDS), VALUES, VALUES, VALUES)
def test_meaning_the_same_is_an_equivalence(field: str, a: Value, b: Value, c: Value) -> None:
    assert same(field, a, a)
    assert same(field, a, b) == same(field, b, a)
    if same(field, a, b) and same(field, b, c):
        assert same(field, a, c)


@given(st.sampled_from(["contact", "company"]), st.dictionaries(st.sampled_from((*FIELDS, "domain")), VALUES))
def test_no_text_makes_match_keys_raise(category: str, fields: dict[str, Value]) -> None:
    for key in match_keys(category, fields):
        assert key.partition(":")[2]


@given(VALUES, st.text(max_size=3))
def test_no_text_makes_a_domain_or_a_number_raise(value: Value, region: str) -> None:
    domain_of(value)
    normal("phone", value, region)


def test_a_contact_is_looked_for_by_email_then_by_name_and_phone() -> None:
    fields: dict[str, Value] = {
        "first_name": " Anna",
        "last_name": "BERG ",
        "email": "Anna@Example.se",
        "phone": "070-174 06 05",
    }
    assert match_keys("contact", fields) == ("email:anna@example.se", "name_phone:anna berg|+46701740605")


def test_a_company_is_looked_for_by_number_then_by_domain() -> None:
    fields: dict[str, Value] = {"organisation_number": "556677-8899", "website": "https://www.example.se/om"}
    assert match_keys("company", fields) == ("orgno:5566778899", "domain:example.se")
    assert match_keys("company", {"website": None, "domain": "example.se"}) == ("domain:example.se",)
    assert match_keys("company", {"name": " Fjord  Eiendom AS"}) == ("name:fjord eiendom as",)


@pytest.mark.parametrize(
    ("category", "fields"),
    [
        ("contact", {"email": "saknas", "first_name": "Anna", "phone": "-"}),
        ("contact", {"email": None, "phone": "070-174 06 05"}),
        ("contact", {"first_name": "Anna", "last_name": "Berg"}),
        ("company", {"organisation_number": "000000-0000", "website": "saknas"}),
        ("company", {"website": "https://www.facebook.com/example"}),
        ("company", {"domain": "gmail.com"}),  # W10
    ],
)
def test_placeholders_and_shared_hosts_identify_nobody(category: str, fields: dict[str, Value]) -> None:
    assert match_keys(category, fields) == ()


@pytest.mark.parametrize(
    ("website", "domain"),
    [
        ("https://www.Example.se:8080/om?x=1", "example.se"),
        ("example.se", "example.se"),
        ("info@example.se", None),
        ("example", None),
        ("kommer snart.", None),
        (None, None),
    ],
)
def test_the_domain_of_a_website(website: Value, domain: str | None) -> None:
    assert domain_of(website) == domain
