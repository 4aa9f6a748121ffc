"""The two laws of a lens, for every mapping, against a small model of how each vendor applies a write.

What was put is read back (where the vendor can hold it), and what was read needs no write.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.fields import Value, blank, same
from daemon.mappings import LENSES
from daemon.mappings.lens import REFERENCE, Lens, Options, Patch

NAMES = {"K1": "Investor", "K2": "VIP", "K3": "Kapital", "K4": "Auto", "K5": "Annat"}
TABLE = {"K1": "investor", "VIP": "vip", "K3": "investor", "Auto": "auto"}
CATALOGUE = tuple(
    (key, name, key == "K4", kind) for key, name in NAMES.items() for kind in ("Person", "Company")
)

TEXTS = st.one_of(
    st.sampled_from(
        ["", " ", "Anna", " Åsa", "Anna  Lisa", "x" * 31, "MNOK i Oslo", "søker\r\nlager", "y" * 101]
    ),
    st.sampled_from(
        ["070-174 06 05", "+46701740605", "08-123 45 67 ext 5", "växeln", "anna@example.se", "A@B.test"]
    ),
    st.sampled_from(
        ["example.se", "https://www.Example.se/Om/", "saknas", "example.se/" + "z" * 60, "SE", "no", "XYZ"]
    ),
    st.sampled_from(["556677-8899", "5566778899", "DE 123", "-"]),
    st.text(max_size=12),
)
MAYBE = st.none() | TEXTS
TAGS = st.lists(st.sampled_from(["investor", "vip", "auto", "loud"]), unique=True, max_size=4)
OPTIONS = st.builds(
    Options,
    customer_id=st.just("M1"),
    note=st.sampled_from(["strategy", "keyword", "activity", "off"]),
    note_keywords=st.just(("MNOK", "søker")),
    categories=st.sampled_from([TABLE, {}]),
    company_categories=st.sampled_from([TABLE, {}]),
    empty_country=st.sampled_from(["unset", "SE"]),
    clear_by_empty_string=st.booleans(),
    catalogue=st.sampled_from([CATALOGUE, ()]),
)
CATEGORIES = st.lists(st.sampled_from(list(NAMES)), unique=True).map(
    lambda keys: [{"id": key, "name": NAMES[key], "readOnly": key == "K4"} for key in keys]
)
REFERENCES = st.lists(
    st.fixed_dictionaries(
        {"namespace": st.sampled_from(["Vitec-Next", "organization-number", "crm"]), "id": TEXTS.filter(bool)}
    ),
    max_size=3,
    unique_by=lambda reference: reference["namespace"],
)
VITEC = {"categories": CATEGORIES | st.none(), "note": MAYBE}
PROPSTREET = {"tags": TAGS | st.none(), "externalRefs": REFERENCES | st.none(), "strategy": MAYBE}
PAYLOADS: dict[tuple[str, str], dict[str, st.SearchStrategy[Any]]] = {
    ("vitec", "contact"): VITEC
    | {
        "firstName": MAYBE,
        "lastName": MAYBE,
        "email": st.none()
        | st.fixed_dictionaries({}, optional={"emailAddress": MAYBE, "emailAddress2": MAYBE}),
        "telephone": st.none() | st.fixed_dictionaries({}, optional={"cell": MAYBE, "home": MAYBE}),
    },
    ("vitec", "company"): VITEC
    | {
        "name": MAYBE,
        "corporateNumber": MAYBE,
        "homePage": MAYBE,
        "address": st.none() | st.fixed_dictionaries({}, optional={"city": MAYBE, "countryCode": MAYBE}),
    },
    ("propstreet", "contact"): PROPSTREET | dict.fromkeys(("firstName", "lastName", "email", "phone"), MAYBE),
    ("propstreet", "company"): PROPSTREET
    | dict.fromkeys(("name", "countryCode", "homepageUrl", "domain"), MAYBE),
}

WRITTEN_AS = {
    "firstName": ("firstName",),
    "lastName": ("lastName",),
    "cellPhone": ("telephone", "cell"),
    "email": ("email",),
    "note": ("note",),
    "companyName": ("name",),
    "corporateNumber": ("corporateNumber",),
    "homePage": ("homePage",),
    "address": ("address",),
}

Case = tuple[dict[str, Any], dict[str, Value], Options]


@st.composite
def cases(draw: st.DrawFn, lens: Lens[Any]) -> Case:
    """A present payload, wanted values and options."""
    parts = PAYLOADS[lens.vendor, lens.category]
    payload = draw(st.fixed_dictionaries({"id": st.just("ADR1")}, optional=parts))
    wanted: dict[str, st.SearchStrategy[Value]] = dict.fromkeys(lens.fields, MAYBE)
    wanted["tags"] = st.lists(st.sampled_from(["investor", "vip", "auto"]), unique=True).map(
        lambda t: tuple(sorted(t))
    )
    return payload, draw(st.fixed_dictionaries({}, optional=wanted)), draw(OPTIONS)


def applied(lens: Lens[Any], patch: Patch, payload: Mapping[str, Any], replaces: bool) -> bytes:
    """The payload after the vendor took a write, as far as the write says."""
    after = dict(payload)
    if lens.vendor == "propstreet":
        after |= patch.body
    else:
        for name, path in WRITTEN_AS.items():
            if name in patch.body:
                *outer, last = path
                inside = after if not outer else dict(after.get(outer[0]) or {})
                inside[last] = patch.body[name]
                after |= {outer[0]: inside} if outer else {}
        present = {category["id"] for category in after.get("categories") or ()}
        assigned = set(patch.body.get("categoryIds", present))  # type: ignore[call-overload]
        system = present & {"K4"}
        ids = (assigned | system if replaces else assigned | present) - set(patch.remove_categories)
        if "categories" in after or ids:
            after["categories"] = [
                {"id": key, "name": NAMES[key], "readOnly": key == "K4"} for key in sorted(ids)
            ]
    return json.dumps(after).encode()


every_lens = pytest.mark.parametrize("lens", LENSES, ids=lambda lens: f"{lens.vendor}-{lens.category}")


@every_lens
@given(st.data(), st.booleans())
def test_what_was_put_is_read_back(lens: Lens[Any], data: st.DataObject, replaces: bool) -> None:
    payload, want, options = data.draw(cases(lens))
    present = json.dumps(payload).encode()
    before = lens.get(present, options).fields
    patch = lens.put(want, present, options, identity="ADR1")
    after = lens.get(applied(lens, patch, payload, replaces), options).fields
    held = {hold.field for hold in patch.holds}
    for field in lens.fields:
        if field in want and field not in held:
            # an unknown list of categories, of which nothing was wanted, stays unknown
            assert lens.kept(
                field, want[field], after[field] if want[field] else after.get(field), options
            ), field
        else:
            assert after.get(field, "unknown") == before.get(field, "unknown"), field


@every_lens
@given(st.data())
def test_what_was_read_needs_no_write(lens: Lens[Any], data: st.DataObject) -> None:
    payload, _, options = data.draw(cases(lens))
    present = json.dumps(payload).encode()
    content = lens.get(present, options)
    want = dict(content.fields)
    if content.reference:
        want[REFERENCE] = content.reference
    assert lens.put(want, present, options) == Patch({})


@every_lens
@given(st.data(), st.booleans())
def test_what_was_written_is_not_written_again(lens: Lens[Any], data: st.DataObject, replaces: bool) -> None:
    payload, want, options = data.draw(cases(lens))
    first = lens.put(want, json.dumps(payload).encode(), options)
    again = lens.put(want, applied(lens, first, payload, replaces), options)
    assert again.empty
    assert again.holds == first.holds


@every_lens
@given(st.data())
def test_what_was_created_is_read_back(lens: Lens[Any], data: st.DataObject) -> None:
    _, want, options = data.draw(cases(lens))
    patch = lens.put(want, None, options)
    held = {hold.field for hold in patch.holds}
    assert patch.empty or "*" not in held
    if not patch.empty:
        fields = lens.get(applied(lens, patch, {"id": "ADR1"}, replaces=False), options).fields
        for field, value in want.items():
            if field not in held and not blank(value):
                assert lens.kept(field, value, fields.get(field), options), field


@every_lens
@given(st.data())
def test_what_the_decision_holds_the_write_holds_too(lens: Lens[Any], data: st.DataObject) -> None:
    payload, want, options = data.draw(cases(lens))
    present = json.dumps(payload).encode()
    fields = lens.get(present, options).fields
    decided = lens.cannot_hold(want, fields, options)
    assert lens.put(want, present, options).holds[: len(decided)] == decided
    for hold in decided:
        assert (
            not same(hold.field, want[hold.field], fields.get(hold.field), options.region)
            or hold.field not in fields
        )


@every_lens
@given(st.data())
def test_a_write_never_carries_more_than_was_wanted(lens: Lens[Any], data: st.DataObject) -> None:
    payload, want, options = data.draw(cases(lens))
    patch = lens.put(want, json.dumps(payload).encode(), options)
    frame = {"customerId", "contactId"} if lens.vendor == "vitec" else set()
    assert len(patch.body.keys() - frame) <= len(want)
    assert not patch.body or patch.body.keys() > frame
    assert (
        not {"approval", "wishAdvertising", "gdprApprovalDate", "socialSecurityNumber"} & patch.body.keys()
    )  # G7, G9
