"""What the vendor's answers about estates, relations, notes and leads are read as, the odd ones too."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime

import aiohttp
import pytest
from aioresponses import aioresponses

from daemon.domain.errors import Retryable, UnknownOutcome
from daemon.vendors.limiter import Limiter
from daemon.vendors.vitec_connect.client import EstateReference, LeadSource, VitecConnectClient
from daemon.vendors.vitec_connect.estates import LISTS

BASE = "https://connect.test"
CONTACT = f"{BASE}/CRM/Contact/M11385"
ESTATE_LIST = f"{BASE}/Estate/GetEstateList"
STATUSES = f"{BASE}/Estate/GetStatuses?customerId=M11385"
NOTES = f"{BASE}/Note/M11385/GetNotes?contactId=ADR1"
RELATIONS = f"{CONTACT}/ADR1/ContactRelations"
LEAD_SOURCES = f"{BASE}/CRM/Lead/M11385/LeadSources"
LEAD = f"{BASE}/Service/Contact/M11385/Lead/Person"
FINAL_PRICE = f"{BASE}/Advertising/Estate/M11385/OBJ1/FinalPriceWatched"

NOTHING = pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b"null"), (200, b" null\r\n")])
SEVEN = 7  # an id that came as a number


@pytest.fixture
async def client() -> AsyncIterator[VitecConnectClient]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield VitecConnectClient(session, BASE, "M11385", "1234", "hemligt", Limiter([], 5))


@pytest.fixture
def vendor() -> Iterator[aioresponses]:
    with aioresponses() as vendor:
        yield vendor


# Estates


async def test_every_kind_of_estate_is_found_in_its_own_list(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    listed = {
        "houses": "House",
        "cottages": "Cottage",
        "housingCooperativeses": "HousingCooperative",
        "plots": "Plot",
        "projects": "Project",
        "farms": "Farm",
        "commercialPropertys": "CommercialProperty",
        "condominiums": "Condominium",
        "foreignProperties": "ForeignProperty",
        "premises": "Premises",
    }
    row = {
        "dateChanged": "2026-08-31T11:46:09.65",
        "status": {"id": "3", "name": "Till salu"},
        "bidding": True,
    }
    office = {name: [{"id": f"OBJ-{kind}", **row}] for name, kind in listed.items()}
    vendor.post(ESTATE_LIST, payload=[{"customerId": "M11385", **office}])
    assert await client.estates(None, list(listed.values())) == [
        EstateReference(f"OBJ-{kind}", kind, "2026-08-31T11:46:09.65", "3") for kind in listed.values()
    ]
    assert sorted(LISTS) == sorted(listed.values())


async def test_what_a_list_does_not_say_is_left_open(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    rows = [
        {"id": SEVEN, "status": {"id": SEVEN}},
        {"id": "OBJ1"},
        {"id": "OBJ2", "dateChanged": None, "status": None},
        {"id": "OBJ3", "status": {"id": None, "name": "Såld"}},
        {"id": "OBJ4", "status": {"id": 0}},
        None,
    ]
    vendor.post(ESTATE_LIST, payload=[{"customerId": "M11385", "plots": rows, "farms": None}])
    assert await client.estates(None, ["Farm", "House", "Plot"]) == [
        EstateReference("7", "Plot", "", "7"),
        EstateReference("OBJ1", "Plot", "", None),
        EstateReference("OBJ2", "Plot", "", None),
        EstateReference("OBJ3", "Plot", "", None),
        EstateReference("OBJ4", "Plot", "", "0"),
    ]


async def test_estates_of_other_kinds_are_left_out_whatever_the_vendor_lists(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    vendor.post(ESTATE_LIST, payload=[{"projects": [{"id": "PRO1"}], "houses": [{"id": "OBJ1"}]}])
    assert [row.id for row in await client.estates(None, ["Project"])] == ["PRO1"]


async def test_estates_of_several_customers_are_one_list(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    vendor.post(ESTATE_LIST, payload=[{"farms": [{"id": "OBJ1"}]}, {}, {"farms": [{"id": "OBJ2"}]}])
    assert [row.id for row in await client.estates(None, ["Farm"])] == ["OBJ1", "OBJ2"]


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b"null"), (200, b"[]"), (200, b"[{}]")])
async def test_an_office_without_estates_lists_none(
    client: VitecConnectClient, vendor: aioresponses, status: int, body: bytes
) -> None:
    vendor.post(ESTATE_LIST, status=status, body=body)
    assert await client.estates(None, ["Farm", "Project"]) == []


@pytest.mark.parametrize(
    "body", [b"{}", b'[{"farms":[{"name":"no id"}]}]', b'[{"farms":{}}]', b'[{"farms":["OBJ1"]}]', b"[null]"]
)
async def test_a_list_that_cannot_be_read_is_never_an_empty_one(
    client: VitecConnectClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.post(ESTATE_LIST, body=body)
    with pytest.raises(Retryable):
        await client.estates(None, ["Farm"])


async def test_no_kinds_need_no_call_since_an_empty_filter_means_every_kind(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    assert await client.estates(None, []) == []
    assert vendor.requests == {}


async def test_a_bare_time_or_an_unknown_kind_is_no_filter(client: VitecConnectClient) -> None:
    with pytest.raises(ValueError, match="aware"):
        await client.estates(datetime(2026, 10, 4), ["Farm"])
    with pytest.raises(ValueError, match="Foreignproperty"):
        await client.estates(None, ["Farm", "Foreignproperty"])


async def test_an_estate_is_the_bytes_that_the_vendor_sent(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    record = b'{ "estateId":"OBJ1", "price" : {"price":1.10},"x":"\\u00c5" }'
    vendor.get(f"{BASE}/Estate/GetCommercialProperty?estateId=OBJ1&customerId=M11385", body=record)
    assert await client.estate("CommercialProperty", "OBJ1") == record


@NOTHING
async def test_an_unknown_estate_is_none(
    client: VitecConnectClient, vendor: aioresponses, status: int, body: bytes
) -> None:
    vendor.get(f"{BASE}/Estate/GetProject?projectId=PRO1&customerId=M11385", status=status, body=body)
    assert await client.estate("Project", "PRO1") is None


@pytest.mark.parametrize("body", [b"", b"[]", b'"PRO1"', b'{"a":"\xff"}'])
async def test_an_unreadable_estate_is_never_taken_for_an_unknown_one(
    client: VitecConnectClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.get(f"{BASE}/Estate/GetProject?projectId=PRO1&customerId=M11385", body=body)
    with pytest.raises(Retryable):
        await client.estate("Project", "PRO1")


async def test_statuses_are_pairs_of_id_and_name(client: VitecConnectClient, vendor: aioresponses) -> None:
    rows = [{"id": "3", "name": "Till salu"}, {"id": 0, "name": None}, {"id": None, "name": "Såld"}]
    vendor.post(STATUSES, payload=rows)
    assert await client.statuses() == [("3", "Till salu"), ("0", "")]


@NOTHING
async def test_a_list_that_the_vendor_does_not_give_is_empty(
    client: VitecConnectClient, vendor: aioresponses, status: int, body: bytes
) -> None:
    vendor.post(STATUSES, status=status, body=body)
    vendor.get(LEAD_SOURCES, status=status, body=body)
    vendor.get(NOTES, status=status, body=body)
    assert await client.statuses() == []
    assert await client.lead_sources() == []
    assert await client.notes("ADR1") == []


# Relations and notes


async def test_a_batch_of_speculators_keeps_every_record_byte_for_byte(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    one = b'{"id":"ADR1", "speculatorOn" : [{"estateId":"OBJ1","estateType":"Project","level":null}]}'
    two = b'{"speculatorOn":null,"id":"ADR2"}'
    vendor.get(f"{CONTACT}/Speculator?contactIds=ADR1,ADR2,ADR3", body=b"[" + one + b",null, " + two + b"]")
    assert await client.speculators(["ADR1", "ADR2", "ADR1", "ADR3"]) == {"ADR1": one, "ADR2": two}


Batch = Callable[[VitecConnectClient, list[str]], Awaitable[dict[str, bytes]]]
BATCHES: dict[str, Batch] = {
    "Speculator": VitecConnectClient.speculators,
    "Buyer": VitecConnectClient.buyers,
}


@pytest.mark.parametrize("kind", BATCHES)
async def test_more_than_twenty_contacts_are_asked_for_in_batches_of_twenty(
    client: VitecConnectClient, vendor: aioresponses, kind: str
) -> None:
    ids = [f"ADR{number}" for number in range(41)]
    for start in (0, 20, 40):
        part = ids[start : start + 20]
        vendor.get(
            f"{CONTACT}/{kind}?contactIds={','.join(part)}", payload=[{"id": contact} for contact in part]
        )
    assert list(await BATCHES[kind](client, ids)) == ids


@pytest.mark.parametrize("kind", BATCHES)
@pytest.mark.parametrize(("status", "body"), [(404, b""), (204, b""), (200, b"null")])
async def test_one_unknown_contact_does_not_hide_the_rest_of_its_batch(
    client: VitecConnectClient, vendor: aioresponses, kind: str, status: int, body: bytes
) -> None:
    vendor.get(f"{CONTACT}/{kind}?contactIds=ADR1,ADR2", status=status, body=body)
    vendor.get(f"{CONTACT}/{kind}/ADR1", status=status, body=body)
    vendor.get(f"{CONTACT}/{kind}/ADR2", body=b'{"id":"ADR2"}')
    assert await BATCHES[kind](client, ["ADR1", "ADR2"]) == {"ADR2": b'{"id":"ADR2"}'}


async def test_relations_are_the_bytes_that_the_vendor_sent(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    body = b'{"relations":[{"relation":"CompanyContactPerson","contactId":"ADR2"}], "reverseRelations":null}'
    vendor.get(RELATIONS, body=body)
    assert await client.relations("ADR1") == body


@NOTHING
async def test_relations_of_an_unknown_contact_are_none(
    client: VitecConnectClient, vendor: aioresponses, status: int, body: bytes
) -> None:
    vendor.get(RELATIONS, status=status, body=body)
    assert await client.relations("ADR1") is None


async def test_relations_that_are_no_object_may_be_read_again(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    vendor.get(RELATIONS, body=b"[]")
    with pytest.raises(Retryable):
        await client.relations("ADR1")


async def test_each_note_is_the_bytes_that_the_vendor_sent(
    client: VitecConnectClient, vendor: aioresponses
) -> None:
    one, two = b'{"id":"NOT1", "text" : "Ringde"}', b'{"text":"","id":7}'
    vendor.get(NOTES, body=b"[ " + one + b",null,\n" + two + b"]")
    assert await client.notes("ADR1") == [one, two]


@pytest.mark.parametrize("body", [b"{}", b'"NOT1"', b"[", b'["\xff"]'])
async def test_notes_that_are_no_list_may_be_read_again(
    client: VitecConnectClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.get(NOTES, body=body)
    with pytest.raises(Retryable):
        await client.notes("ADR1")


# Leads


async def test_lead_sources_have_an_id_and_a_name(client: VitecConnectClient, vendor: aioresponses) -> None:
    rows = [{"id": "LK1", "name": "Hemsidan", "leadType": "AcceptObjectFlow"}, {"id": SEVEN, "name": None}]
    vendor.get(LEAD_SOURCES, payload=rows)
    assert await client.lead_sources() == [LeadSource("LK1", "Hemsidan"), LeadSource("7", "")]


@pytest.mark.parametrize(("body", "named"), [(b'"LED1"', "LED1"), (b' " LED1 "', "LED1"), (b"7", "7")])
async def test_a_lead_is_named_by_its_answer(
    client: VitecConnectClient, vendor: aioresponses, body: bytes, named: str
) -> None:
    vendor.post(LEAD, body=body)
    vendor.post(FINAL_PRICE, body=body)
    assert await client.send_lead(b"{}") == named
    assert await client.watch_final_price("OBJ1", b"{}") == named


@NOTHING
async def test_a_lead_may_be_taken_in_without_a_name(
    client: VitecConnectClient, vendor: aioresponses, status: int, body: bytes
) -> None:
    vendor.post(LEAD, status=status, body=body)
    vendor.post(FINAL_PRICE, status=status, body=body)
    assert await client.send_lead(b"{}") is None
    assert await client.watch_final_price("OBJ1", b"{}") is None


@pytest.mark.parametrize("body", [b"", b'""', b'" "', b"{}", b"[]", b"true", b'"LED1'])
async def test_an_answer_that_is_no_name_leaves_the_lead_in_doubt(
    client: VitecConnectClient, vendor: aioresponses, body: bytes
) -> None:
    vendor.post(LEAD, body=body)
    vendor.post(FINAL_PRICE, body=body)
    with pytest.raises(UnknownOutcome):
        await client.send_lead(b"{}")
    with pytest.raises(UnknownOutcome):
        await client.watch_final_price("OBJ1", b"{}")
