import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import phonenumbers
import pytest
from email_validator import validate_email
from stdnum.no import orgnr as norwegian
from stdnum.se import orgnr as swedish

from daemon.sandbox import cast
from daemon.sandbox.cast import Fields, Record, Script, Step

DAYS = range(8)
VITEC_LENGTHS = {"first_name": 30, "last_name": 30, "email": 100, "phone": 17, "name": 30, "website": 60}


@pytest.fixture(params=DAYS)
def day(request: pytest.FixtureRequest) -> Script:
    return cast.script(request.param)


def plain(field: str, value: object) -> object:
    """What two ways of writing one thing have in common."""
    match field, value:
        case "phone", str():
            return phonenumbers.format_number(
                phonenumbers.parse(value, "SE"), phonenumbers.PhoneNumberFormat.E164
            )
        case "organisation_number", str():
            return re.sub(r"\D", "", value)
        case "website", str():
            return re.sub(r"^(https?://)?(www\.)?", "", value).rstrip("/").lower()
        case "email", str():
            return value.casefold()
        case _:
            return value


def all_told(day: Script) -> list[Record | Step]:
    return [*day.population, *day.steps]


def all_records(day: Script) -> list[Record | Step]:
    """As they are first: before the day, or when they are made."""
    return [*day.population, *(step for step in day.steps if step.action == "create")]


def values(day: Script, field: str) -> Iterator[str]:
    for told in all_told(day):
        if isinstance(value := told.fields.get(field), str):
            yield value


def pairs(field: str, category: str) -> set[str]:
    """The keys whose two records agree in a field before the day."""
    held = defaultdict(list)
    for record in cast.POPULATION:
        if record.category == category:
            held[record.key].append(plain(field, record.fields.get(field)))
    return {
        key for key, both in held.items() if len(both) == 2 and both[0] is not None and both[0] == both[1]
    }


def edits(day: Script, *fields: str) -> list[Step]:
    return [step for step in day.steps if step.action == "edit" and step.fields.keys() & set(fields)]


def test_a_seed_gives_one_day_and_another_seed_another() -> None:
    assert cast.script(7) == cast.script(7)
    assert len({repr(cast.script(seed).steps) for seed in DAYS}) == len(DAYS)


def test_a_day_has_both_vendors_people_before_it_and_newcomers_in_it(day: Script) -> None:
    assert Counter((record.side, record.category) for record in day.population) == {
        ("vitec", "contact"): 12,
        ("propstreet", "contact"): 8,
        ("vitec", "company"): 6,
        ("propstreet", "company"): 4,
    }
    kinds = Counter((step.side, step.action, step.category) for step in day.steps)
    assert len(day.steps) >= 60
    assert len(kinds) == 8
    assert sum(step.action == "edit" for step in day.steps) == 64


@pytest.mark.parametrize(("asked", "given"), [(0, 38), (38, 38), (39, 39), (1000, 1000)])
def test_a_day_has_as_many_edits_as_asked_and_never_fewer_than_its_story(asked: int, given: int) -> None:
    assert sum(step.action == "edit" for step in cast.script(3, asked).steps) == given


def test_some_are_known_to_both_by_each_of_the_ways_to_match() -> None:
    assert pairs("email", "contact") == {"kari", "anna"}
    assert pairs("phone", "contact") & pairs("last_name", "contact") >= {"hakon", "gosta"}
    assert pairs("organisation_number", "company") == {"fjord", "skog"}
    assert "bryggen" in pairs("website", "company")


def test_nobody_else_before_the_day_can_be_taken_for_somebody(day: Script) -> None:
    for field in ("email", "phone", "organisation_number", "website"):
        keys = defaultdict(set)
        for told in all_records(day):
            if value := told.fields.get(field):
                keys[plain(field, value)].add(told.key)
        assert all(len(same) == 1 for same in keys.values())


def test_an_address_belongs_to_one_person(day: Script) -> None:
    owners = defaultdict(set)
    for told in all_told(day):
        if value := told.fields.get("email"):
            owners[plain("email", value)].add(told.key)
    assert all(len(keys) == 1 for keys in owners.values())


def test_every_edit_is_of_a_record_that_stands_there(day: Script) -> None:
    there = {(record.side, record.key) for record in day.population}
    anywhere = {record.key for record in day.population}
    for step in day.steps:
        if step.action == "create":
            assert step.key not in anywhere
            there.add((step.side, step.key))
            anywhere.add(step.key)
        assert step.key in anywhere
        assert step.crossed == ((step.side, step.key) not in there)
        assert step.side == ("vitec" if step.actor in cast.BROKERS else "propstreet")
        assert step.fields


def test_every_edit_changes_its_record_whichever_side_was_heard_last(day: Script) -> None:
    at_side: dict[tuple[str, str], dict[str, object]] = defaultdict(dict)
    anywhere: dict[str, dict[str, object]] = defaultdict(dict)

    def learn(told: Record | Step) -> None:
        fields = {field: plain(field, value) for field, value in told.fields.items()}
        at_side[told.side, told.key].update(fields)
        anywhere[told.key].update(fields)

    for record in day.population:
        learn(record)
    for step in day.steps:
        for field, value in step.fields.items() if step.action == "edit" else ():
            assert plain(field, value) != at_side[step.side, step.key].get(field)
            assert plain(field, value) != anywhere[step.key].get(field)
        learn(step)


def test_one_field_is_changed_at_both_sides_at_different_times(day: Script) -> None:
    sides = defaultdict(list)
    for step in day.steps:
        if step.action == "edit" and not step.together_with_previous:
            for field in step.fields:
                sides[step.key, field].append(step.side)
    both = {about for about, order in sides.items() if set(order) == {"vitec", "propstreet"}}
    assert both >= {("hakon", "phone"), ("kari", "phone"), ("skog", "name")}


def test_two_fields_of_one_record_are_changed_at_both_sides_close_in_time(day: Script) -> None:
    close = {
        step.key
        for place, step in enumerate(day.steps)
        for other in day.steps[place + 1 : place + 6]
        if other.key == step.key and other.side != step.side and not step.fields.keys() & other.fields.keys()
    }
    assert close >= {"anna", "fjord", "gosta"}


def test_what_happens_at_once_happens_at_both_sides_to_one_record(day: Script) -> None:
    together = [
        (before, step)
        for before, step in zip(day.steps, day.steps[1:], strict=False)
        if step.together_with_previous
    ]
    assert not day.steps[0].together_with_previous
    assert all(before.key == step.key and before.side != step.side for before, step in together)
    conflicts = {
        step.key for before, step in together if before.fields.keys() & step.fields.keys() - {"tags"}
    }
    assert conflicts == {"kari", "skog"}
    assert {"hakon"} == {
        step.key for before, step in together if {"tags"} == before.fields.keys() & step.fields.keys()
    }


def test_addresses_are_invented(day: Script) -> None:
    for email in values(day, "email"):
        assert validate_email(email, check_deliverability=False)
        assert re.search(r"@([a-z]+\.)?example\.(no|se)$", email)
    for website in values(day, "website"):
        assert re.fullmatch(r"[a-z0-9-]+\.example", str(plain("website", website)))


def test_phones_are_valid_fictional_and_written_in_several_ways(day: Script) -> None:
    numbers = list(values(day, "phone"))
    for number in numbers:
        assert phonenumbers.is_valid_number(phonenumbers.parse(number, "SE"))
        assert re.fullmatch(r"\+467017406(0[5-9]|[1-9]\d)|\+47400000\d\d", str(plain("phone", number)))
    assert {number[:3] for number in numbers} >= {"070", "+46", "+47", "004"}


def test_organisation_numbers_are_valid(day: Script) -> None:
    found = 0
    for record in all_told(day):
        if isinstance(number := record.fields.get("organisation_number"), str):
            valid = {"NO": norwegian, "SE": swedish}[str(record.fields["country"])].is_valid(number)
            assert valid
            found += 1
    assert found >= 10


def test_everything_fits_at_both_vendors(day: Script) -> None:
    for told in all_told(day):
        for field, value in told.fields.items():
            assert isinstance(value, tuple) == (field == "tags")
            assert value or field == "tags"
            assert len(value) <= VITEC_LENGTHS.get(field, 500)
    for told in all_records(day):
        if told.category == "contact":
            assert told.fields.keys() & {"email", "phone"} or told.side == "propstreet"


def test_tags_are_those_that_categories_map_to(day: Script) -> None:
    for told in all_told(day):
        tags = told.fields.get("tags", ())
        known = cast.CATEGORIES if told.category == "contact" else cast.COMPANY_CATEGORIES
        assert set(tags) <= set(known.values())
        assert list(tags) == sorted(tags)


def test_the_cast_writes_its_own_alphabet(day: Script) -> None:
    written = "".join(str(value) for told in all_told(day) for value in told.fields.values())
    assert set("æøåäöÅØ") <= set(written)


def test_every_field_is_edited_and_every_note_tells_of_it(day: Script) -> None:
    edited = {
        field for step in edits(day, *VITEC_LENGTHS, "strategy", "tags", "country") for field in step.fields
    }
    assert edited >= {"last_name", "email", "phone", "tags", "strategy", "name", "website", "country"}
    assert all(3 <= len(step.note.split()) <= 14 for step in day.steps)


def test_fields_have_the_common_names(day: Script) -> None:
    names: dict[str, set[str]] = {
        "contact": {"first_name", "last_name", "email", "phone", "tags", "strategy"},
        "company": {"name", "organisation_number", "country", "website", "tags"},
    }
    told: list[tuple[str, Fields]] = [(one.category, one.fields) for one in all_told(day)]
    assert all(fields.keys() <= names[category] for category, fields in told)
