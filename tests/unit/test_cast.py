import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import phonenumbers
import pytest
from email_validator import validate_email
from stdnum.no import orgnr as norwegian
from stdnum.se import orgnr as swedish

from daemon.sandbox import cast, forms, market
from daemon.sandbox.steps import BROKERS, CATEGORIES, COMPANY_CATEGORIES, Fields, Record, Script, Step

DAYS = range(8)
STORIES = (*cast.STORY, *market.STORY, *forms.STORY)
NETWORK = ("contact", "company")
IN_SALE = {"Coming", "SoonForSale", "ForSale", "Running"}
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


def of_network(day: Script) -> list[Record | Step]:
    """What is told of persons and companies, but for the second card of one of them."""
    return [told for told in all_told(day) if told.category in NETWORK and told.key not in market.TOLD_ONCE]


def steps_of(day: Script, *categories: str) -> list[Step]:
    return [step for step in day.steps if step.category in categories]


def last(day: Script, side: str, key: str, field: str) -> object:
    """The last value that a field of a record was given at one side."""
    found = [
        told.fields[field]
        for told in all_told(day)
        if (told.side, told.key) == (side, key) and field in told.fields
    ]
    return found[-1] if found else None


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


def test_a_seed_gives_one_day_and_another_seed_another() -> None:
    assert cast.script(7) == cast.script(7)
    assert len({repr(cast.script(seed).steps) for seed in DAYS}) == len(DAYS)


def test_a_day_has_both_vendors_people_before_it_and_newcomers_in_it(day: Script) -> None:
    assert Counter((record.side, record.category) for record in day.population) == {
        ("vitec", "contact"): 12,
        ("propstreet", "contact"): 8,
        ("vitec", "company"): 6,
        ("propstreet", "company"): 4,
        ("vitec", "project"): 2,
        ("vitec", "prospect"): 3,
    }
    kinds = Counter((step.side, step.action, step.category) for step in steps_of(day, *NETWORK))
    assert len(kinds) == 9, "creates and edits of both categories at both sides, and one merge"
    assert sum(step.action == "edit" for step in day.steps) == cast.EDITS >= 60


def test_a_day_has_as_many_edits_as_asked_and_never_fewer_than_its_stories() -> None:
    fewest = sum(step.action == "edit" for step in STORIES)
    for asked, given in ((0, fewest), (fewest, fewest), (fewest + 1, fewest + 1), (1000, 1000)):
        assert sum(step.action == "edit" for step in cast.script(3, asked).steps) == given


def test_the_stories_keep_their_order_and_their_moments(day: Script) -> None:
    for story in (cast.STORY, market.STORY, forms.STORY):
        assert tuple(step for step in day.steps if step in story) == story
    for before, step in zip(day.steps, day.steps[1:], strict=False):
        assert not step.together_with_previous or before.key == step.key


def test_some_are_known_to_both_by_each_of_the_ways_to_match() -> None:
    assert pairs("email", "contact") == {"kari", "anna"}
    assert pairs("phone", "contact") & pairs("last_name", "contact") >= {"hakon", "gosta"}
    assert pairs("organisation_number", "company") == {"fjord", "skog"}
    assert "bryggen" in pairs("website", "company")


def test_nobody_else_before_the_day_can_be_taken_for_somebody(day: Script) -> None:
    new = [told for told in of_network(day) if isinstance(told, Record) or told.action == "create"]
    for field in ("email", "phone", "organisation_number", "website"):
        keys = defaultdict(set)
        for told in [*new, *forms.STORY]:
            if value := told.fields.get(field):
                keys[plain(field, value)].add(told.key)
        assert all(len(same) == 1 for same in keys.values())


def test_an_address_belongs_to_one_person(day: Script) -> None:
    owners = defaultdict(set)
    for told in [*of_network(day), *forms.STORY]:
        if value := told.fields.get("email"):
            owners[plain("email", value)].add(told.key)
    assert all(len(keys) == 1 for keys in owners.values())


def named(step: Step) -> list[str]:
    """The records that must be there for a step: the ends of a new join, or what is changed."""
    if step.action != "create":
        return [step.key]
    return step.key.split("/") if step.category in ("prospect", "link") else []


def test_every_edit_is_of_a_record_that_stands_there(day: Script) -> None:
    there = {(record.side, record.key) for record in day.population}
    anywhere = {record.key for record in day.population}
    for step in day.steps:
        assert step.fields
        if step.category == "lead":
            assert step.fields.get("estate", "mill") in anywhere
            continue
        assert step.side == ("vitec" if step.actor in BROKERS else "propstreet")
        assert anywhere >= set(named(step))
        assert step.crossed == any((step.side, key) not in there for key in named(step))
        if step.action == "create":
            assert step.key not in anywhere
            there.add((step.side, step.key))
            anywhere.add(step.key)


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
        for other in day.steps[place + 1 : place + 12]
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
    assert {before.category for before, _ in together} == {*NETWORK, "project", "prospect"}
    assert all(before.key == step.key and before.side != step.side for before, step in together)
    conflicts = {
        step.key for before, step in together if before.fields.keys() & step.fields.keys() - {"tags"}
    }
    assert conflicts == {"kari", "skog", "village"}
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
    for record in of_network(day):
        if isinstance(number := record.fields.get("organisation_number"), str):
            valid = {"NO": norwegian, "SE": swedish}[str(record.fields["country"])].is_valid(number)
            assert valid
            found += 1
    assert found >= 10


def test_everything_fits_at_both_vendors(day: Script) -> None:
    for told in all_told(day):
        for field, value in told.fields.items():
            assert isinstance(value, tuple) == (field in ("tags", "viewing"))
            assert value or field == "tags"
            longest = VITEC_LENGTHS.get(field, 500) if told.category not in ("project", "lead") else 200
            assert len(value) <= longest
    for record in of_network(day):
        if record.category == "contact" and (isinstance(record, Record) or record.action == "create"):
            assert record.fields.keys() & {"email", "phone"} or record.side == "propstreet"


def test_tags_are_those_that_categories_map_to(day: Script) -> None:
    for told in of_network(day):
        tags = told.fields.get("tags", ())
        known = CATEGORIES if told.category == "contact" else COMPANY_CATEGORIES
        assert set(tags) <= set(known.values())
        assert list(tags) == sorted(tags)


def test_the_cast_writes_its_own_alphabet(day: Script) -> None:
    written = "".join(str(value) for told in all_told(day) for value in told.fields.values())
    assert set("æøåäöÅØ") <= set(written)


def test_every_field_is_edited_and_every_note_tells_of_it(day: Script) -> None:
    edited = {field for step in day.steps if step.action == "edit" for field in step.fields}
    assert edited >= {"last_name", "email", "phone", "tags", "strategy", "name", "website", "country"}
    assert edited >= {"status", "price", "level", "classification", "viewing", "bid", "role", "stage"}
    assert all(3 <= len(step.note.split()) <= 14 for step in day.steps)


def test_fields_have_the_common_names(day: Script) -> None:
    names: dict[str, set[str]] = {
        "contact": {"first_name", "last_name", "email", "phone", "tags", "strategy"},
        "company": {"name", "organisation_number", "country", "website", "tags"},
        "project": {"kind", "status", "name", "price", "viewing", "stage"},
        "prospect": {"level", "bid", "role", "classification"},
        "link": {"relation"},
    }
    steps = (one for one in all_told(day) if one.category != "lead" and getattr(one, "action", "") != "merge")
    told: list[tuple[str, Fields]] = [(one.category, one.fields) for one in steps]
    assert all(fields.keys() <= names[category] for category, fields in told)


# --- Estates, prospects and leads ---


def test_two_estates_of_each_kind_move_through_their_statuses(day: Script) -> None:
    kinds = {str(told.key): told.fields["kind"] for told in all_told(day) if "kind" in told.fields}
    assert Counter(kinds.values()) == {"CommercialProperty": 2, "Project": 2}
    statuses = [
        [
            told.fields["status"]
            for told in all_told(day)
            if (told.side, told.key) == ("vitec", key) and "status" in told.fields
        ]
        for key in kinds
    ]
    assert ["AssignmentAttempt", "Coming", "SoonForSale", "ForSale", "Resting", "ForSale"] in statuses
    assert ["Coming", "Running", "Resting", "Running"] in statuses
    assert {path[-1] for path in statuses} == {"Sold", "Soldout", "ForSale", "Running"}


def test_propstreets_own_moves_end_where_the_estates_do(day: Script) -> None:
    for key in ("harbour", "mill", "village", "terrace"):
        status = last(day, "vitec", key, "status")
        closed = "closed" if status in ("Sold", "Soldout") else None
        assert (last(day, "propstreet", key, "stage"), last(day, "propstreet", key, "status")) == (
            "communicated",
            closed,
        )


def test_interest_grows_into_a_bid_and_one_bidder_buys(day: Script) -> None:
    kari = [told.fields for told in all_told(day) if told.key == "harbour/kari"]
    levels = [str(fields["level"]) for fields in kari if "level" in fields]
    assert levels == ["Interested", "BeenAtOrComingToViewing", "VeryInterested", "ParticipateInBidding"]
    assert kari[-1] == {"role": "buyer"}
    assert {step.fields["classification"] for step in steps_of(day, "prospect") if step.side == "propstreet"} == {
        "interested", "not_interested", "bidder", "contacted",
    }  # fmt: skip


def test_a_change_of_interest_that_nobody_is_told_of_is_seen_by_a_later_poll(day: Script) -> None:
    for place, step in enumerate(day.steps):
        if (step.side, step.category) == ("vitec", "prospect"):
            estate = step.key.partition("/")[0]
            later = [each for each in day.steps[place:] if each.side == "vitec" and each.key == estate]
            assert later or last(day, "vitec", estate, "status") in IN_SALE


def test_one_person_with_two_cards_becomes_one_and_stays_interested(day: Script) -> None:
    [merge] = [step for step in day.steps if step.action == "merge"]
    assert (merge.key, merge.fields) == ("par_again", {"source": "par"})
    assert any(record.key == "village/par" for record in day.population)
    assert not any(step.key in ("par", "par_again") and step.action == "edit" for step in day.steps)


def test_ten_leads_come_in_of_every_form_and_on_estates_that_stay_in_sale(day: Script) -> None:
    leads = steps_of(day, "lead")
    assert Counter(lead.fields["form"] for lead in leads) == {"lead": 6, "interest": 3, "final_price": 1}
    assert all(
        last(day, "vitec", str(lead.fields["estate"]), "status") in IN_SALE
        for lead in leads
        if "estate" in lead.fields
    )
    assert "linnea" in {lead.key for lead in leads} & {record.key for record in day.population}
