"""The Swedish text of a valuation lead, word for word."""

import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain, combinations
from pathlib import Path

import msgspec
import pytest

from daemon.mappings.leads import Call, call_of, message_of
from daemon.mappings.leads.document import document
from daemon.mappings.leads.realai import OccupantType, Person, Property, PropertyType, Valuation, valuation_of

SAMPLE = (Path(__file__).parents[1] / "payloads/leads/realai_lead.json").read_bytes()
PRINTED = (
    "Du har fått ett lead från Real AI. Erik Andersson fick en värdering på 5 500 000 kr den 2026-01-27 av en villa"
    " med 150.0 m² boarea. Biarean är 40.0 m² och tomtarean 800.0 m². Byggåret är 1992."
)
NOON = datetime(2026, 1, 27, 11, 0, tzinfo=UTC)

WORDS: dict[PropertyType, str] = {
    "Apartment": "en lägenhet",
    "SingleFamilyResidence": "en villa",
    "Townhouse": "ett radhus",
    "Terraced": "ett kedjehus",
    "Duplex": "ett parhus",
}
OCCUPANTS: tuple[OccupantType | None, ...] = (None, "Owner", "TenantOwnership")
OPTIONAL = {
    "living_area": 62.5,
    "rooms": "3",
    "secondary_area": 40.0,
    "lot_size_area": 800.0,
    "association_fee": 3500.0,
    "year_built": "1964",
}


def lead(home: Property, **person: str) -> Valuation:
    """Erik's lead for a home."""
    sample = valuation_of(document(SAMPLE), strict=False)
    return Valuation(
        sample.customer,
        msgspec.convert(msgspec.to_builtins(sample.person) | person, Person),
        home,
    )


def text(home: Property, **person: str) -> str:
    return message_of(lead(home, **person), NOON)


def test_the_printed_sample_gives_the_printed_text_byte_for_byte() -> None:
    call = call_of("lead", SAMPLE, NOON)
    assert isinstance(call, Call)
    assert json.loads(call.body)["message"].encode() == PRINTED.encode()


HEAD = "Du har fått ett lead från Real AI. Erik Andersson fick en värdering på "


@pytest.mark.parametrize(
    ("home", "rest"),
    [
        (
            Property(
                2150000,
                "Apartment",
                living_area=62.5,
                rooms="3",
                occupant_type="TenantOwnership",
                association_fee=3500.0,
                year_built="1964",
            ),
            "2 150 000 kr den 2026-01-27 av en lägenhet med 62.5 m² boarea och 3 rum. Månadsavgiften är 3 500 kr."
            " Byggåret är 1964.",
        ),
        (
            Property(3000000, "Townhouse", living_area=110.0, lot_size_area=210.0),
            "3 000 000 kr den 2026-01-27 av ett radhus med 110.0 m² boarea. Tomtarean är 210.0 m².",
        ),
        (
            Property(4200000, "Terraced", living_area=120.0, rooms="5", secondary_area=12.5),
            "4 200 000 kr den 2026-01-27 av ett kedjehus med 120.0 m² boarea och 5 rum. Biarean är 12.5 m².",
        ),
        (
            Property(3900000, "Duplex", rooms="4", year_built="2001", occupant_type="Owner"),
            "3 900 000 kr den 2026-01-27 av ett parhus med 4 rum. Byggåret är 2001.",
        ),
        (
            Property(
                3100000,
                "Townhouse",
                living_area=98.0,
                secondary_area=20.0,
                lot_size_area=150.0,
                occupant_type="TenantOwnership",
                association_fee=4210.0,
            ),
            "3 100 000 kr den 2026-01-27 av ett radhus med 98.0 m² boarea. Biarean är 20.0 m² och tomtarean"
            " 150.0 m². Månadsavgiften är 4 210 kr.",
        ),
        (
            Property(1800000, "Apartment", living_area=40.0, secondary_area=5.0, lot_size_area=300.0),
            "1 800 000 kr den 2026-01-27 av en lägenhet med 40.0 m² boarea.",
        ),
        (
            Property(1800000, "Apartment", occupant_type="Owner", association_fee=2000.0),
            "1 800 000 kr den 2026-01-27 av en lägenhet.",
        ),
        (Property(2500000, "SingleFamilyResidence"), "2 500 000 kr den 2026-01-27 av en villa."),
    ],
)
def test_a_text_is_made_of_what_is_given(home: Property, rest: str) -> None:
    assert text(home) == HEAD + rest


SIZES = {
    "": "",
    "living_area": " med 62.5 m² boarea",
    "rooms": " med 3 rum",
    "living_area rooms": " med 62.5 m² boarea och 3 rum",
}
AREAS = {
    "": "",
    "secondary_area": " Biarean är 40.0 m².",
    "lot_size_area": " Tomtarean är 800.0 m².",
    "secondary_area lot_size_area": " Biarean är 40.0 m² och tomtarean 800.0 m².",
}


@pytest.mark.parametrize("occupant", OCCUPANTS)
@pytest.mark.parametrize("kind", WORDS)
def test_every_subset_of_optional_fields_gives_its_text(
    kind: PropertyType, occupant: OccupantType | None
) -> None:
    for names in chain.from_iterable(combinations(OPTIONAL, size) for size in range(len(OPTIONAL) + 1)):
        home = msgspec.convert(
            {"valuation": 1234567, "property_sub_type": kind, "occupant_type": occupant}
            | {name: OPTIONAL[name] for name in names},
            Property,
        )
        expected = HEAD + f"1 234 567 kr den 2026-01-27 av {WORDS[kind]}"
        expected += SIZES[" ".join(name for name in names if name in ("living_area", "rooms"))] + "."
        if kind != "Apartment":
            expected += AREAS[" ".join(name for name in names if name.endswith("y_area") or "lot" in name)]
        if occupant == "TenantOwnership" and "association_fee" in names:
            expected += " Månadsavgiften är 3 500 kr."
        if "year_built" in names:
            expected += " Byggåret är 1964."
        assert text(home) == expected


@pytest.mark.parametrize(
    ("received", "day"),
    [
        (datetime(2026, 1, 26, 22, 59, 59, tzinfo=UTC), "2026-01-26"),
        (datetime(2026, 1, 26, 23, 0, 0, tzinfo=UTC), "2026-01-27"),
        (datetime(2026, 6, 30, 21, 59, 59, tzinfo=UTC), "2026-06-30"),
        (datetime(2026, 6, 30, 22, 0, 0, tzinfo=UTC), "2026-07-01"),
        (datetime(2025, 12, 31, 23, 30, tzinfo=UTC), "2026-01-01"),
    ],
)
def test_the_day_is_the_one_in_sweden(received: datetime, day: str) -> None:
    assert f" den {day} av " in message_of(lead(Property(1, "Apartment")), received)
    elsewhere = received.astimezone(timezone(timedelta(hours=-9)))
    assert f" den {day} av " in message_of(lead(Property(1, "Apartment")), elsewhere)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (0, "0 kr"),
        (999, "999 kr"),
        (1000, "1 000 kr"),
        (999999, "999 999 kr"),
        (1234567, "1 234 567 kr"),
        (12345678901, "12 345 678 901 kr"),
    ],
)
def test_thousands_stand_apart_by_an_ordinary_blank(amount: int, words: str) -> None:
    assert f" på {words} den " in text(Property(amount, "Apartment"))


@pytest.mark.parametrize(
    ("fee", "words"),
    [(999.0, "999 kr"), (3500.49, "3 500 kr"), (3500.5, "3 501 kr"), (3501.5, "3 502 kr"), (0.0, "0 kr")],
)
def test_a_fee_is_whole_kronor(fee: float, words: str) -> None:
    home = Property(1, "Apartment", occupant_type="TenantOwnership", association_fee=fee)
    assert f" Månadsavgiften är {words}." in text(home)


@pytest.mark.parametrize(
    ("area", "words"),
    [
        (150.0, "150.0"),
        (62.5, "62.5"),
        (62.25, "62.25"),
        (0.0, "0.0"),
        (1234.0, "1234.0"),
        (0.00001, "0.00001"),
    ],
)
def test_an_area_has_a_point_and_at_least_one_decimal(area: float, words: str) -> None:
    assert f" med {words} m² boarea." in text(Property(1, "Apartment", living_area=area))


def test_what_newer_revisions_add_ends_the_text() -> None:
    home = Property(1, "Apartment", year_built="1964")
    said = text(home, qualification="Angett flytt inom 12 mån", custom_field="Bortrest till 1 mars")
    assert said.endswith(" Byggåret är 1964. Angett flytt inom 12 mån. Bortrest till 1 mars.")
    assert text(home, custom_field="Ring efter 17!").endswith(" Byggåret är 1964. Ring efter 17!")


def test_the_text_stands_on_one_line_with_single_blanks() -> None:
    said = text(Property(1, "Apartment"), first_name="Erik \t Olof", custom_field="Ring\r\n\r\nefter 17")
    assert "Erik Olof Andersson" in said
    assert said.endswith(" Ring efter 17.")
    assert said == " ".join(said.split())
