"""Estates and projects at the Vitec Connect twin: the list, the records, what subscriptions hear, PUT CRM/Project."""

from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from daemon.sandbox.twins.vitec_connect.estates import LISTED, STATUSES
from tests.integration.vitec_connect_bench import CUSTOMER, KARI, Caller, Clock, running, told

TOWER: dict[str, Any] = {
    "baseInformation": {"objectAddress": {"streetAddress": "Storgatan 1", "city": "Östersund"}},
    "description": {"sellingHeading": "Tornet"},
    "price": {"price": 12_500_000},
}
LISTS = set(LISTED.values()) | {"customerId"}


async def listed(api: Caller, **criteria: Any) -> dict[str, list[str]]:
    """The ids of GetEstateList by list, empty lists left out."""
    status, [office] = await api.post("Estate/GetEstateList", {"customerId": CUSTOMER, **criteria})
    assert (status, office["customerId"], set(office)) == (200, CUSTOMER, LISTS)
    return {
        name: [row["id"] for row in rows] for name, rows in office.items() if rows and name != "customerId"
    }


async def record(api: Caller, kind: str, estate: str, **query: str) -> Any:
    name = "projectId" if kind == "Project" else "estateId"
    status, found = await api.get(f"Estate/Get{kind}", **{name: estate}, customerId=CUSTOMER, **query)
    assert status == 200
    return found


# --- reading


async def test_every_kind_stands_in_its_own_list_and_has_its_own_call() -> None:
    async with running() as (twin, api):
        made = {kind: twin.create_estate(kind) for kind in LISTED}
        assert await listed(api) == {LISTED[kind]: [estate] for kind, estate in made.items()}
        for kind, estate in made.items():
            assert await record(api, kind, estate) == twin.estate(estate)
        assert made["Project"].startswith("PRO11385_")
        assert made["House"].startswith("OBJ11385_")


async def test_an_estate_is_not_found_under_another_kind_nor_when_it_is_gone() -> None:
    async with running() as (twin, api):
        house = twin.create_estate("House")
        assert (await api.get("Estate/GetCommercialProperty", estateId=house))[0] == 404
        assert (await api.get("Estate/GetHouse"))[0] == 400
        assert (await api.get("Estate/GetHouse", estateId=house, customerId="M99999"))[0] == 403
        twin.remove_estate(house)
        assert (await api.get("Estate/GetHouse", estateId=house))[0] == 404
        assert await listed(api) == {}


async def test_a_commercial_record_has_the_documented_parts_and_no_project_name() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("CommercialProperty", status="ForSale", **TOWER)
        read = await record(api, "CommercialProperty", estate)
        assert (read["estateId"], read["customerId"]) == (estate, CUSTOMER)
        assert read["dateChanged"] == "2026-07-01T12:00:00"
        assert read["assignment"]["status"] == {"id": "3", "name": "Till salu"}
        assert read["price"] == {
            "price": 12_500_000,
            "priceText": None,
            "offer": False,
            "offerNoLaterThen": None,
        }
        assert not {"projectName", "address"} & read["baseInformation"].keys()
        assert read["baseInformation"]["objectAddress"]["coordinate"] == {"longitud": None, "latitud": None}
        assert [read[name] for name in ("interests", "buyers", "sellers", "viewings", "bids")] == [[]] * 5


async def test_premises_have_owners_and_tenants_and_projects_have_neither_sellers_nor_a_price() -> None:
    async with running() as (twin, api):
        premises = await record(api, "Premises", twin.create_estate("Premises"))
        assert premises.keys() >= {"interests", "owners", "tenants"}
        assert not {"buyers", "sellers"} & premises.keys()
        project = await record(api, "Project", twin.create_estate("Project"))
        assert project.keys() >= {"interests", "buyers", "priceRange", "housingCooperatives"}
        assert not {"sellers", "price", "commissionType", "bids"} & project.keys()


async def test_a_row_of_the_list_says_what_the_page_says() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("CommercialProperty", **TOWER, assignment={"estatenumber": "17"})
        twin.create_estate("Project", baseInformation={"projectName": "Kvarteret"})
        _, [office] = await api.post("Estate/GetEstateList", {"customerId": CUSTOMER})
        [row], [project] = office["commercialPropertys"], office["projects"]
        assert row == {
            "id": estate,
            "status": {"id": "3", "name": "Till salu"},
            "customerId": CUSTOMER,
            "areaName": None,
            "streetAddress": "Storgatan 1",
            "shortSaleDescription": None,
            "objectNumber": "17",
            "dateChanged": "2026-07-01T12:00:00",
            "coordinate": {"longitud": None, "latitud": None},
            "viewingsList": [],
            "bidding": False,
            "mainImage": None,
        }
        assert project["projectName"] == "Kvarteret"
        assert project["priceRange"] == {"minValue": None, "maxValue": None}


async def test_the_list_is_filtered_by_type_date_status_and_broker() -> None:
    clock = Clock()
    async with running(clock=clock) as (twin, api):
        tower = twin.create_estate("CommercialProperty", assignment={"responsibleBroker": "HAN1"})
        clock.forward(hours=1)
        sold = twin.create_estate("ForeignProperty", status="Sold")
        assert await listed(api, type=["Foreignproperty"]) == {"foreignProperties": [sold]}
        assert await listed(api, type=[6]) == {"commercialPropertys": [tower]}
        assert await listed(api, statuses=[{"id": "4"}]) == {"foreignProperties": [sold]}
        assert await listed(api, statuses=[{"name": "Till salu"}]) == {"commercialPropertys": [tower]}
        assert await listed(api, userId="HAN1") == {"commercialPropertys": [tower]}
        since = {"typeOfDate": "DateChanged", "dateFrom": "2026-07-01T11:00:00Z"}
        assert await listed(api, **since) == {"foreignProperties": [sold]}
        assert len(await listed(api, **since | {"typeOfDate": 0})) == 2
        until = {"typeOfDate": 1, "dateTo": "2026-07-01T12:00:00"}
        assert await listed(api, **until) == {"commercialPropertys": [tower]}


async def test_the_list_is_filtered_by_viewing_signature_and_access() -> None:
    async with running() as (twin, api):
        tower = twin.create_estate("CommercialProperty", date={"agreementDate": "2026-08-01T00:00:00"})
        house = twin.create_estate("House", date={"accessDate": "2026-08-01T00:00:00"})
        plot = twin.create_estate("Plot")
        twin.add_viewing(plot, starts_at=datetime(2026, 8, 1, 9, tzinfo=UTC))
        day = {"dateFrom": "2026-08-01T00:00:00", "dateTo": "2026-08-01T23:59:59"}
        assert await listed(api, typeOfDate="SignatureDate", **day) == {"commercialPropertys": [tower]}
        assert await listed(api, typeOfDate="AccessDate", **day) == {"houses": [house]}
        assert await listed(api, typeOfDate="ViewingDate", **day) == {"plots": [plot]}


@pytest.mark.parametrize(
    "criteria",
    [
        {"type": ["Castle"]},
        {"type": "House"},
        {"typeOfDate": "Yesterday"},
        {"statuses": ["3"]},
        {"typeOfDate": "DateChanged", "dateFrom": "soon"},
        {"customerId": ""},
    ],
)
async def test_criteria_that_make_no_sense_are_refused(criteria: dict[str, Any]) -> None:
    async with running() as (twin, api):
        twin.create_estate("House")
        assert (await api.post("Estate/GetEstateList", {"customerId": CUSTOMER} | criteria))[0] == 400


async def test_vs25_types_and_dates_by_number_may_be_refused() -> None:
    async with running(vs25="name") as (_, api):
        for criteria in ({"type": [6]}, {"typeOfDate": 1}):
            assert (await api.post("Estate/GetEstateList", {"customerId": CUSTOMER, **criteria}))[0] == 400


async def test_vs27_the_list_of_estates_may_be_cut_without_a_sign() -> None:
    async with running(vs27=2) as (twin, api):
        for _ in range(3):
            twin.create_estate("House")
        assert len((await listed(api))["houses"]) == 2


async def test_vs28_the_numbers_of_the_statuses_are_those_of_get_statuses() -> None:
    async with running() as (twin, api):
        estate = twin.create_estate("House", status="Coming")
        _, usual = await api.call("POST", "Estate/GetStatuses", customerId=CUSTOMER)
        assert [row["id"] for row in usual] == [str(number) for number in range(len(STATUSES))]
        assert {"id": "11", "name": "Kommande"} in usual
        twin.switches.vs28 = "other"
        _, other = await api.call("POST", "Estate/GetStatuses", customerId=CUSTOMER)
        assert sorted(row["id"] for row in other) == sorted(row["id"] for row in usual)
        assert [row for row in other if row in usual] == [
            row for row in usual if row["id"] in ("2", "3", "4", "10")
        ]
        status = (await record(api, "House", estate))["assignment"]["status"]
        assert status in other
        assert (status["id"] != "11", status["name"]) == (True, "Kommande")
        assert await listed(api, statuses=[{"id": status["id"]}]) == {"houses": [estate]}


@pytest.mark.parametrize(("word", "status"), [("projectId", 400), ("either", 200)])
async def test_vs29_a_project_may_be_asked_for_by_estate_id_too(word: str, status: int) -> None:
    async with running(vs29=word) as (twin, api):
        project = twin.create_estate("Project")
        assert (await api.get("Estate/GetProject", estateId=project))[0] == status
        assert (await api.get("Estate/GetProject", projectId=project))[0] == 200


async def test_viewings_carry_their_participants_and_past_ones_can_be_left_out() -> None:
    clock = Clock()
    async with running(clock=clock) as (twin, api):
        person, house = twin.create("person", **KARI), twin.create_estate("House")
        twin.add_viewing(house, [person])
        clock.forward(hours=2)
        [viewing] = (await record(api, "House", house))["viewings"]
        assert viewing["participants"] == [person]
        assert (viewing["startTime"], viewing["endTime"]) == ("2026-07-01T12:00:00", "2026-07-01T13:00:00")
        assert (await record(api, "House", house, onlyFutureViewings="true"))["viewings"] == []
        _, [row] = await api.get(f"Viewing/{CUSTOMER}/{house}")
        assert row["timeSlots"][0]["participants"] == [{"hasParticipated": False, "contactId": person}]
        assert (await api.get(f"Viewing/{CUSTOMER}/OBJ0"))[0] == 404


async def test_vs19_empty_fields_of_an_estate_may_be_left_out() -> None:
    async with running(vs19="left_out") as (twin, api):
        read = await record(api, "House", twin.create_estate("House"))
        assert read["description"] == {}
        assert "webbId" not in read


# --- the user side


async def test_an_edit_moves_the_date_and_one_that_changes_nothing_does_not() -> None:
    clock = Clock()
    async with running(clock=clock) as (twin, _):
        estate = twin.create_estate("CommercialProperty", **TOWER)
        before = twin.estate(estate)
        clock.forward(minutes=1)
        twin.edit_estate(estate, description={"sellingHeading": "Tornet"}, status="ForSale")
        assert twin.estate(estate) == before
        twin.edit_estate(estate, description={"sellPhrase": "Högt"}, status="Sold")
        after = twin.estate(estate)
        assert after["dateChanged"] == "2026-07-01T12:01:00"
        assert after["description"]["sellingHeading"] == "Tornet"
        assert after["assignment"]["status"]["name"] == "Såld"
        assert before["description"]["sellPhrase"] is None
        twin.edit_estate(estate, price=None)
        assert twin.estate(estate)["price"]["price"] is None
        assert [entry.category for entry in twin.journal.entries] == ["project"] * 4


def test_the_users_screen_takes_no_unknown_part_and_no_foreign_status() -> None:
    twin = VitecConnectTwin()
    house = twin.create_estate("House")
    with pytest.raises(KeyError, match="projectName"):
        twin.edit_estate(house, baseInformation={"projectName": "Kvarteret"})
    with pytest.raises(KeyError):
        twin.create_estate("Castle")
    with pytest.raises(ValueError, match="never Running"):
        twin.create_estate("House", status="Running")
    with pytest.raises(ValueError, match="at most 25"):
        twin.edit_estate(house, baseInformation={"objectAddress": {"city": "x" * 26}})


# --- notifications


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        ("House", "ForSale", "ForSale"),
        ("CommercialProperty", "Resting", "Paused"),
        ("Plot", "Advantage", "PreSale"),
        ("Premises", "Booked", None),
        ("Project", "Running", "Ongoing"),
        ("Project", "Soldout", "SoldOut"),
        ("Project", "Coming", "Upcoming"),
        ("Project", "Resting", "Paused"),
        ("Project", "NoAssignment", None),
    ],
)
async def test_a_notification_gives_the_status_by_its_own_names(
    kind: str, status: str, name: str | None
) -> None:
    async with told() as (twin, _, receiver):
        estate = twin.create_estate(kind, status=status)
        await twin.settled()
        [body] = receiver.bodies
        shape = ("Project", None) if kind == "Project" else ("Estate", kind)
        assert (body["type"], body["subtype"], body["event"], body["id"]) == (*shape, "Update", estate)
        assert body.get("data") == (name and {"status": name})
        assert "data" not in receiver.got[0][0]


async def test_a_removed_estate_is_told_without_a_status() -> None:
    async with told() as (twin, _, receiver):
        estate = twin.create_estate("House")
        twin.remove_estate(estate)
        await twin.settled()
        assert receiver.told() == [("Update", estate), ("Remove", estate)]
        assert "data" not in receiver.bodies[1]


@pytest.mark.parametrize(("word", "then"), [("silence", []), ("remove", ["Remove"])])
async def test_vs6_an_estate_that_leaves_the_statuses_of_a_subscription(word: str, then: list[str]) -> None:
    async with told(statuses=["ForSale", "Paused"], vs6=word) as (twin, _, receiver):
        estate = twin.create_estate("House", status="Coming")
        twin.edit_estate(estate, status="Resting")
        twin.edit_estate(estate, status="AssignmentWithdrawn")
        twin.edit_estate(estate, description={"sellPhrase": "Ljust"})
        await twin.settled()
        assert [event for event, _ in receiver.told()] == ["Update", *then]


async def test_vs7_a_subscription_of_advertised_estates_hears_remove_when_one_is_no_longer_marketed() -> None:
    async with told(advertised_only=True) as (twin, api, receiver):
        estate = twin.create_estate("House")
        twin.create_estate("House", advertiseOn={"homepage": False})
        twin.unpublish_estate(estate)
        twin.edit_estate(estate, description={"sellPhrase": "Ljust"})
        await twin.settled()
        assert receiver.told() == [("Update", estate), ("Remove", estate)]
        assert (await record(api, "House", estate))["advertiseOn"]["homepage"] is False


async def test_a_subscription_of_all_estates_hears_an_update_when_one_is_unpublished() -> None:
    async with told() as (twin, _, receiver):
        estate = twin.create_estate("House")
        twin.unpublish_estate(estate)
        await twin.settled()
        assert receiver.told() == [("Update", estate)] * 2


# --- PUT CRM/Project


async def test_a_project_takes_its_name_its_texts_and_four_statuses() -> None:
    clock = Clock()
    async with running(clock=clock) as (twin, api):
        project = twin.create_estate("Project", baseInformation={"projectName": "Kvarteret"})
        clock.forward(minutes=1)
        body = {
            "baseInformation": {
                "projectName": "Kajen",
                "status": "Resting",
                "producer": "Bygg AB",
                "address": {"city": "Luleå"},
            },
            "sellingHeading": "Vid vattnet",
        }
        assert await api.call("PUT", f"CRM/Project/{CUSTOMER}/{project}", body) == (204, None)
        read = twin.estate(project)
        assert read["baseInformation"]["projectName"] == "Kajen"
        assert read["baseInformation"]["address"]["city"] == "Luleå"
        assert (read["assignment"]["producer"], read["assignment"]["status"]["name"]) == (
            "Bygg AB",
            "Vilande",
        )
        assert read["description"]["sellingHeading"] == "Vid vattnet"
        assert read["dateChanged"] == "2026-07-01T12:01:00"
        again = {"baseInformation": {"projectName": "Kajen", "status": 2}}
        assert (await api.call("PUT", f"CRM/Project/{CUSTOMER}/{project}", again))[0] == 204
        changed, same = twin.journal.writes()
        assert (changed.category, changed.record, changed.changed) == ("project", project, True)
        assert twin.journal.echoes() == [same]


@pytest.mark.parametrize("part", [{"status": "Sold"}, {"status": 4}, {"address": {"countryCode": "SWE"}}])
async def test_a_project_takes_nothing_else(part: dict[str, Any]) -> None:
    async with running() as (twin, api):
        project = twin.create_estate("Project")
        path = f"CRM/Project/{CUSTOMER}"
        assert (await api.call("PUT", f"{path}/{project}", {"baseInformation": part}))[0] == 400
        assert (await api.call("PUT", f"{path}/{twin.create_estate('House')}", {}))[0] == 404
        assert [entry.category for entry in twin.journal.writes()] == ["project"] * 2


@pytest.mark.parametrize(("word", "echoes"), [("echo", 1), ("none", 0), ("twice", 2)])
async def test_vs5_a_project_written_through_the_api_comes_back(word: str, echoes: int) -> None:
    async with told(vs5=word) as (twin, api, receiver):
        project = twin.create_estate("Project")
        body = {"baseInformation": {"status": "Coming"}}
        await api.call("PUT", f"CRM/Project/{CUSTOMER}/{project}", body)
        await twin.settled()
        assert [told["data"] for told in receiver.bodies[1:]] == [{"status": "Upcoming"}] * echoes


@pytest.mark.parametrize(("kind", "done"), [("timeout_before", False), ("timeout_after", True)])
async def test_vs36_silence_before_or_after_a_project_was_written(kind: Any, done: bool) -> None:
    async with running() as (twin, api):
        twin.faults.timeout = 0.02
        # whatever connection it takes, and however often aiohttp repeats a PUT on another one
        twin.faults.plan(kind, method="PUT", path_contains="/CRM/Project", times=100)
        project = twin.create_estate("Project")
        with pytest.raises(aiohttp.ClientError):
            await api.call(
                "PUT", f"CRM/Project/{CUSTOMER}/{project}", {"baseInformation": {"projectName": "Kajen"}}
            )
        assert (twin.estate(project)["baseInformation"]["projectName"] == "Kajen") == done


async def test_vs32_estates_have_a_pair_of_their_own() -> None:
    async with running(vs32="pair_per_group") as (twin, api):
        api.pair = twin.credentials["CRM-Contact"]
        assert (await api.post("Estate/GetEstateList", {"customerId": CUSTOMER}))[0] == 401
        api.pair = twin.credentials["Estate"]
        assert (await api.post("Estate/GetEstateList", {"customerId": CUSTOMER}))[0] == 200
