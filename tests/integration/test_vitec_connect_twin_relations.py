"""Speculators, buyers, bids, links of contacts and notes at the Vitec Connect twin."""

from typing import Any

import aiohttp
import pytest

from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from daemon.sandbox.twins.vitec_connect.relations import LEVEL_OF_STATUS, LEVELS
from tests.integration.vitec_connect_bench import CUSTOMER, FEED, FJORD, KARI, Caller, Clock, running, told


async def put(api: Caller, contact: str, estate: str, **body: Any) -> int:
    status, _ = await api.call("PUT", f"CRM/Speculator/{CUSTOMER}/{contact}/Estate/{estate}", body)
    return status


def a_pair(twin: VitecConnectTwin, kind: str = "CommercialProperty") -> tuple[str, str]:
    return twin.create("person", **KARI), twin.create_estate(kind)


# --- reading


async def test_a_speculators_homes_are_read_by_contact() -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin, "ForeignProperty")
        other = twin.create("company", **FJORD)
        twin.relate(person, estate, "VeryInterested")
        home = {"estateId": estate, "estateType": "Foreignproperty", "level": "VeryInterested"}
        one = {"id": person, "speculatorOn": [home]}
        none = {"id": other, "speculatorOn": []}
        assert await api.get(f"{FEED}/Speculator/{person}") == (200, one)
        assert await api.get(f"{FEED}/Speculator", contactIds=f"{person},{other}") == (200, [one, none])
        assert await api.get(f"{FEED}/Speculator/{person},{other}") == (200, [one, none])
        assert twin.levels() == {(estate, person): "VeryInterested"}
        twin.unrelate(person, estate)
        assert (await api.get(f"{FEED}/Speculator/{person}"))[1]["speculatorOn"] == []


async def test_vs21_and_vs26_hold_for_relations_too() -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI)
        assert (await api.get(f"{FEED}/Speculator/ADR0"))[0] == 404
        assert (await api.get(f"{FEED}/Buyer", contactIds=f"{person},ADR0"))[0] == 404
        assert (await api.get(f"{FEED}/Speculator", contactIds=",".join(f"A{n}" for n in range(21))))[
            0
        ] == 400
        assert (await api.get(f"{FEED}/Speculator/" + ",".join(f"A{n}" for n in range(6))))[0] == 400
        twin.switches.vs21 = "left_out"
        assert len((await api.get(f"{FEED}/Buyer", contactIds=f"{person},ADR0"))[1]) == 1


async def test_buyers_and_sellers_have_homes_and_roles() -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        twin.make_buyer(person, estate)
        twin.make_seller(person, estate, share=0.5)
        home = {"estateId": estate, "estateType": "CommercialProperty"}
        assert (await api.get(f"{FEED}/Buyer/{person}"))[1] == {"id": person, "buyerOn": [home]}
        assert (await api.get(f"{FEED}/Seller/{person}"))[1]["sellerOn"] == [home | {"shareHolding": 0.5}]
        _, roles = await api.get(f"{FEED}/{person}/PartyRoles")
        assert sorted(roles) == sorted(
            ["buyer", "extraBuyer", "seller", "extraSeller", "tenant", "extraTenant", "owner", "extraOwner"]
        )
        assert roles["buyer"] == [{"estateId": estate, "roleCreatedAt": "2026-07-01T12:00:00"}]
        assert (twin.estate(estate)["buyers"], twin.buyers()) == ([person], {(estate, person)})
        twin.unmake_buyer(person, estate)
        assert (await api.get(f"{FEED}/Buyer/{person}"))[1]["buyerOn"] == []


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("not_interested", ["NotInterested", "Interested"]),
        ("both", ["NotInterested", "Archived", "Interested"]),
        ("neither", ["Interested"]),
    ],
)
async def test_vs18_interests_hold_the_uninterested_and_the_archived_or_not(
    word: str, shown: list[str]
) -> None:
    async with running(vs18=word) as (twin, api):
        estate = twin.create_estate("House")
        people = {
            level: twin.create("person", lastName=level)
            for level in ("NotInterested", "Archived", "Interested")
        }
        for level, person in people.items():
            twin.relate(person, estate, level)
        _, read = await api.get("Estate/GetHouse", estateId=estate)
        assert read["interests"] == [people[level] for level in shown]
        archived = (await api.get(f"{FEED}/Speculator/{people['Archived']}"))[1]
        assert archived["speculatorOn"][0]["level"] == "Archived"


@pytest.mark.parametrize(("word", "levels"), [("never", []), ("possible", [None])])
async def test_vs38_a_relation_without_a_level_is_not_listed_or_null(word: str, levels: list[None]) -> None:
    async with running(vs38=word) as (twin, api):
        person, estate = a_pair(twin)
        twin.relate(person, estate, None)
        _, read = await api.get(f"{FEED}/Speculator/{person}")
        assert [row["level"] for row in read["speculatorOn"]] == levels
        assert twin.estate(estate)["interests"] == [person]


async def test_bids_are_read_by_estate_and_by_contact() -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        other = twin.create("person", lastName="Öberg")
        bids = [twin.bid(person, estate, 1_000_000), twin.bid(other, estate, 1_100_000)]
        _, rows = await api.get(f"CRM/Bids/{CUSTOMER}", estateId=estate)
        assert [(row["id"], row["amount"], row["isCanceled"]) for row in rows] == [
            (bids[0], "1000000", False),
            (bids[1], "1100000", False),
        ]
        assert [row["id"] for row in (await api.get(f"CRM/Bids/{CUSTOMER}", contactId=other))[1]] == bids[1:]
        assert [row["amount"] for row in twin.estate(estate)["bids"]] == [1_000_000, 1_100_000]


async def test_v1_contacts_carry_their_relations() -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        twin.relate(person, estate, "FollowingBidding")
        twin.make_buyer(person, estate)
        twin.bid(person, estate, 900_000)
        _, [office] = await api.post("Contacts/GetContacts", {"customerId": CUSTOMER})
        [read] = office["persons"]
        assert read["buyerOnObjects"] == [{"estateId": estate, "type": "CommercialProperty"}]
        [interest] = read["interestOnObjects"]
        assert (interest["interestLevel"], interest["viewing"], interest["bidder"]) == (
            "FollowingBidding",
            False,
            True,
        )


# --- writing a level


@pytest.mark.parametrize("by_number", [False, True])
async def test_each_written_status_is_read_as_its_level(by_number: bool) -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        for number, (status, level) in enumerate(LEVEL_OF_STATUS.items()):
            assert await put(api, person, estate, status=number if by_number else status) == 204
            assert twin.levels() == {(estate, person): level}


def test_only_the_bidding_and_the_viewing_have_other_names_when_read() -> None:
    assert {status: level for status, level in LEVEL_OF_STATUS.items() if status != level} == {
        "JoinedBidding": "ParticipateInBidding",
        "BeenOnShowing": "BeenAtOrComingToViewing",
    }
    assert LEVEL_OF_STATUS.keys() & {"Reserved", "Booked", "OnHoldInBidding", "Archived"} == set()
    assert set(LEVEL_OF_STATUS.values()) < LEVELS.keys()


@pytest.mark.parametrize("status", ["Reserved", "ParticipateInBidding", "Archived", 7, "", None, True])
async def test_what_the_enum_does_not_have_is_refused(status: Any) -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        assert await put(api, person, estate, status=status) == 400
        assert twin.levels() == {}


async def test_vs25_a_status_by_number_may_be_refused() -> None:
    async with running(vs25="name") as (twin, api):
        assert await put(api, *a_pair(twin), status=3) == 400


async def test_an_unknown_contact_or_estate_is_not_found() -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        assert await put(api, "ADR0", estate, status="Interested") == 404
        assert await put(api, person, "OBJ0", status="Interested") == 404


@pytest.mark.parametrize("word", ["404", "400"])
async def test_vs14_a_missing_relation_may_be_refused(word: str) -> None:
    async with running(vs14=word) as (twin, api):
        person, estate = a_pair(twin)
        assert await put(api, person, estate, status="Interested") == int(word)
        twin.relate(person, estate, "Assigned")
        assert await put(api, person, estate, status="Interested") == 204


async def test_a_missing_note_keeps_the_old_one_and_a_repeated_write_is_an_echo() -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        await put(api, person, estate, status="Interested", note="Ringde")
        await put(api, person, estate, status="Interested")
        first, second = twin.journal.writes()
        assert (first.category, first.record) == ("prospect", f"{estate}:{person}")
        assert (first.before, first.after) == (None, {"level": "Interested", "note": "Ringde"})
        assert twin.journal.echoes() == [second]


async def test_dates_do_not_move_with_a_level_but_a_contacts_by_vs37() -> None:
    clock = Clock()
    async with running(clock=clock) as (twin, api):
        person, estate = a_pair(twin)
        clock.forward(minutes=1)
        twin.relate(person, estate, "Interested")
        twin.make_buyer(person, estate)
        await put(api, person, estate, status="Assigned")
        assert twin.get(person)["changedAt"] == twin.estate(estate)["dateChanged"] == "2026-07-01T12:00:00"
        twin.switches.vs37 = True
        await put(api, person, estate, status="Assigned", note="Samma")
        assert twin.get(person)["changedAt"] == "2026-07-01T12:00:00"
        twin.relate(person, estate, "Interested")
        assert twin.get(person)["changedAt"] == "2026-07-01T12:01:00"
        assert twin.estate(estate)["dateChanged"] == "2026-07-01T12:00:00"


@pytest.mark.parametrize(("kind", "done"), [("timeout_before", False), ("timeout_after", True)])
async def test_vs36_silence_before_or_after_a_level_was_set(kind: Any, done: bool) -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        twin.faults.timeout = 0.02
        twin.faults.plan(kind, path_contains="/CRM/Speculator", times=2)  # aiohttp repeats a PUT
        with pytest.raises(aiohttp.ClientError):
            await put(api, person, estate, status="Interested")
        assert bool(twin.levels()) == done


# --- notifications


async def test_relations_are_told_with_the_estate_first_and_no_id() -> None:
    async with told(types=["EstateContact"]) as (twin, _, receiver):
        person, estate = a_pair(twin)
        twin.relate(person, estate, "Interested")
        twin.relate(person, estate, "Interested")
        twin.make_buyer(person, estate)
        twin.unmake_buyer(person, estate)
        twin.unrelate(person, estate)
        await twin.settled()
        assert [(body["subtype"], body["event"]) for body in receiver.bodies] == [
            ("Speculator", "Update"),
            ("Buyer", "Update"),
            ("Buyer", "Remove"),
            ("Speculator", "Remove"),
        ]
        for query, _ in receiver.got:
            assert (query["relId1"], query["relType1"]) == (estate, "CommercialProperty")
            assert (query["relId2"], query["relType2"]) == (person, "Person")
            assert not {"id", "relId3"} & query.keys()


async def test_a_viewing_is_told_with_its_participant_and_moves_the_estates_date() -> None:
    async with told(types=["EstateContact", "Estate"]) as (twin, _, receiver):
        person, estate = a_pair(twin)
        viewing = twin.add_viewing(estate, [person])
        await twin.settled()
        _, home, participant = receiver.bodies
        assert (home["type"], home["id"]) == ("Estate", estate)
        assert participant["subtype"] == "ViewingParticipant"
        assert participant["id"].startswith("VID")
        assert (participant["relId3"], participant["relType3"]) == (viewing, "Viewing")


async def test_vs1_a_relation_in_the_old_form() -> None:
    async with told(vs1="old", types=["EstateContact"]) as (twin, _, receiver):
        person, estate = a_pair(twin, "Project")
        twin.relate(person, estate, "Interested")
        twin.make_buyer(person, estate)
        twin.add_viewing(estate, [person])
        await twin.settled()
        subtypes = [body["subType"] for body in receiver.bodies]
        assert subtypes == ["EstateContactSpeculator", "EstateContactBuyer", "ViewingParticipant"]
        assert receiver.bodies[2]["id"] is None
        assert receiver.bodies[0]["relType1"] is None


@pytest.mark.parametrize(("word", "echoes"), [("echo", 1), ("none", 0), ("twice", 2)])
async def test_vs5_a_level_set_through_the_api_comes_back(word: str, echoes: int) -> None:
    async with told(types=["EstateContact"], vs5=word) as (twin, api, receiver):
        person, estate = a_pair(twin)
        await put(api, person, estate, status="Interested")
        await twin.settled()
        assert [body["relId2"] for body in receiver.bodies] == [person] * echoes


# --- links of contacts


async def test_a_company_has_relations_and_its_people_the_reverse() -> None:
    clock = Clock()
    async with told(types=["Contact"], clock=clock) as (twin, api, receiver):
        company, person = twin.create("company", **FJORD), twin.create("person", **KARI)
        clock.forward(minutes=1)
        twin.connect(company, person)
        twin.connect(company, person)
        twin.connect(company, person, "CompanySignatory")
        _, read = await api.get(f"{FEED}/{company}/ContactRelations")
        names = ["CompanyContactPerson", "CompanySignatory"]
        assert read == {
            "relations": [{"relation": name, "contactId": person} for name in names],
            "reverseRelations": [],
        }
        _, read = await api.get(f"{FEED}/{person}/ContactRelations")
        assert [row["contactId"] for row in read["reverseRelations"]] == [company] * 2
        assert twin.get(company)["changedAt"] == twin.get(person)["changedAt"] == "2026-07-01T12:01:00"
        twin.disconnect(company, person, "CompanySignatory")
        assert [row["relation"] for row in twin.contact_relations(company)["relations"]] == names[:1]
        twin.disconnect(company, person)
        assert twin.contact_relations(company) == {"relations": [], "reverseRelations": []}
        await twin.settled()
        assert receiver.told()[2:] == [("Update", company), ("Update", person)] * 4
        with pytest.raises(ValueError, match="no relation"):
            twin.connect(company, person, "Friend")


# --- notes


async def test_every_post_makes_another_note() -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        body = {"date": "2026-06-30T09:00:00", "userId": "HAN1", "text": "Ringde", "contactId": person}
        assert await api.post(f"Note/{CUSTOMER}", body) == (204, None)
        assert await api.post(f"Note/{CUSTOMER}", body | {"estateId": estate}) == (204, None)
        status, notes = await api.get(f"Note/{CUSTOMER}/GetNotes", contactId=person)
        assert (status, notes) == (200, twin.notes_of(person))
        assert [{**note, "id": None} for note in notes] == [
            {"id": None, "date": "2026-06-30T09:00:00", "userId": "HAN1", "text": "Ringde"}
        ] * 2
        assert len({note["id"] for note in notes}) == 2
        assert [(entry.category, entry.changed) for entry in twin.journal.writes()] == [("note", True)] * 2


async def test_a_note_needs_no_field_but_what_it_names_must_be_there() -> None:
    async with running() as (twin, api):
        person = twin.create("person", **KARI)
        assert (await api.post(f"Note/{CUSTOMER}", {"text": "Ringde"}))[0] == 204
        assert (await api.post(f"Note/{CUSTOMER}", {"contactId": "ADR0"}))[0] == 404
        assert (await api.post(f"Note/{CUSTOMER}", {"contactId": person, "estateId": "OBJ0"}))[0] == 404
        assert (await api.post(f"Note/{CUSTOMER}", {"contactId": person, "date": "igår"}))[0] == 400
        assert (await api.get(f"Note/{CUSTOMER}/GetNotes", contactId="ADR0"))[0] == 404
        assert (await api.get(f"Note/{CUSTOMER}/GetNotes", contactId=person)) == (200, [])


async def test_a_note_is_told_with_its_estate_and_its_contact() -> None:
    async with told(types=["Note"]) as (twin, api, receiver):
        person, estate = a_pair(twin)
        note = twin.add_note(person, "Ringde", estate)
        twin.remove_note(note)
        twin.add_note(person, "Mejlade")
        await api.post(f"Note/{CUSTOMER}", {"text": "Besökte", "contactId": person})
        await twin.settled()
        made, gone, plain, echo = receiver.bodies
        assert (made["event"], gone["event"], made["id"], gone["id"]) == ("Update", "Remove", note, note)
        assert (made["relId1"], made["relType1"], made["relId2"]) == (estate, "CommercialProperty", person)
        assert "relId1" not in plain
        assert plain["relId2"] == echo["relId2"] == person
        assert [row["text"] for row in twin.notes_of(person)] == ["Mejlade", "Besökte"]


# --- merge and removal


async def test_a_merge_moves_relations_parties_notes_links_and_leads() -> None:
    async with running() as (twin, _):
        company, estate = twin.create("company", **FJORD), twin.create_estate("House")
        kept, gone = twin.create("person", lastName="Åkesson"), twin.create("person", **KARI)
        twin.relate(kept, estate, "Assigned")
        twin.relate(gone, estate, "ParticipateInBidding")
        twin.make_buyer(gone, estate)
        twin.add_viewing(estate, [gone])
        twin.bid(gone, estate, 1)
        twin.add_note(gone, "Ringde")
        twin.connect(company, gone)
        twin.merge(kept, gone)
        assert twin.levels() == {(estate, kept): "ParticipateInBidding"}
        assert twin.buyers() == {(estate, kept)}
        assert twin.estate(estate)["viewings"][0]["participants"] == [kept]
        assert twin.bids[estate][0].contact == kept
        assert [note["text"] for note in twin.notes_of(kept)] == ["Ringde"]
        assert [row["contactId"] for row in twin.contact_relations(company)["relations"]] == [kept]


async def test_a_removed_contact_or_estate_leaves_no_relation_behind() -> None:
    async with running() as (twin, api):
        person, estate = a_pair(twin)
        other = twin.create_estate("House")
        for home in (estate, other):
            twin.relate(person, home, "Interested")
            twin.make_buyer(person, home)
        twin.remove_estate(other)
        _, read = await api.get(f"{FEED}/Speculator/{person}")
        assert [row["estateId"] for row in read["speculatorOn"]] == [estate]
        twin.remove(person)
        read = twin.estate(estate)
        assert (read["interests"], read["buyers"], twin.levels(), twin.buyers()) == ([], [], {}, set())
