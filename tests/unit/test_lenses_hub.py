"""An estate of Vitec Next (Hub) is read as far as anybody describes it, and nothing of it is written."""

import json
from typing import Any

import pytest

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.fields import Value
from daemon.mappings import lens
from daemon.mappings.lens import Options, Seen
from daemon.mappings.vitec_estate import hub_estate_of

ESTATE = lens("vitec", "project")
GUID = "0C5A1B3E-9D27-4F60-8B1A-2E4D6F8A0C1B"
PLAIN = Options(region="NO")


def estate(**detail: Any) -> bytes:
    return hub_estate_of(GUID, json.dumps(detail).encode())


def fields(**detail: Any) -> dict[str, Value]:
    return ESTATE.get(estate(**detail), PLAIN).fields


def test_what_the_hub_sent_is_kept_byte_for_byte_under_its_id() -> None:
    assert hub_estate_of(GUID, b'{ "x" : 1.50 }') == b'{"estateId":"%s","hub":{ "x" : 1.50 }}' % GUID.encode()


def test_an_estate_is_named_by_its_address() -> None:
    address = {"streetAdress": " Fjordveien 1 ", "zipCode": "0250", "city": "Oslo"}
    content = ESTATE.get(estate(address=address, assignmentNum="1-26-0001", projectUnits=[]), PLAIN)
    assert content.external_id == GUID
    assert content.fields == {"name": "Fjordveien 1, Oslo"}
    assert content.flags == ("hub",)
    assert content.changed is None


@pytest.mark.parametrize(
    ("detail", "name"),
    [
        ({"address": {"streetAdress": "Fjordveien 1", "city": None}}, "Fjordveien 1"),
        ({"address": {"streetAdress": "", "city": "Oslo"}, "assignmentNum": "1-26-0001"}, "1-26-0001"),
        ({"address": {"streetAdress": "x" * 201}, "assignmentNum": 260001}, "260001"),
        ({"address": {"streetAddress": "the usual spelling"}, "assignmentNum": "  "}, GUID),
        ({"address": None}, GUID),
        ({}, GUID),
    ],
)
def test_without_an_address_its_number_or_its_id_names_it(
    detail: dict[str, Any], name: str
) -> None:  # E2, E3
    assert fields(**detail) == {"name": name}


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (39, None),
        (40, "closed"),
        (48, "closed"),
        (49, None),
        ("44", None),
        (True, None),
        (None, None),
        ({}, None),
    ],
)
def test_a_status_tells_only_that_an_estate_is_sold(status: Any, told: str | None) -> None:
    assert fields(status=status).get("status") == told


def test_a_field_of_connect_means_nothing_at_the_hub() -> None:
    odd = fields(
        baseInformation={"projectName": "Kvarnen"}, price={"price": 5}, description={"sellingHeading": "x"}
    )
    assert odd == {"name": GUID}


@pytest.mark.parametrize("field", ["name", "classification", "price", "status", "stage"])
def test_nothing_can_be_written_to_the_hub(field: str) -> None:
    present = estate(address={"streetAdress": "Fjordveien 1"})
    content = ESTATE.get(present, PLAIN)
    statuses_on = Options(project_status_writes=True)
    patch = ESTATE.put({field: "active"}, present, statuses_on)
    assert patch.empty
    [held] = ESTATE.cannot_hold({field: "active"}, Seen(content.fields, content.flags), statuses_on)
    assert (held.field, held.reason) == (field, "not_writable")
    assert "Hub" in held.detail


@pytest.mark.parametrize("detail", [b"[]", b"5", b'{"address": "Fjordveien 1"}', b'{"assignmentNum": []}'])
def test_an_odd_estate_is_refused_and_not_guessed_at(detail: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        ESTATE.get(hub_estate_of(GUID, detail), PLAIN)
