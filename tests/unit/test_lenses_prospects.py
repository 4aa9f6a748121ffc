"""The mapping rules of prospects, by their ids (sections 11 to 13); the tables are in test_tables."""

import json
from typing import Any

import pytest

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.fields import Value
from daemon.mappings import lens
from daemon.mappings.lens import Hold, Options, Patch
from daemon.mappings.vitec_relation import Relations, relation_of, relations_in

RELATION = lens("vitec", "prospect")
PROSPECT = lens("propstreet", "prospect")
ESTATE, CONTACT = "OBJ1_1", "ADR1"
PLAIN = Options()
SHOWN_AS_NOT_INTERESTED = Options(prospect_removed="not_interested")


def raw(**payload: Any) -> bytes:
    return json.dumps(payload).encode()


def speculator(*rows: Any) -> bytes:
    return raw(id=CONTACT, speculatorOn=list(rows))


def buyer(*estates: str) -> bytes:
    return raw(id=CONTACT, buyerOn=[{"estateId": estate, "estateType": 6} for estate in estates])


def on(estate: str, level: Any = None) -> dict[str, Any]:
    return {"estateId": estate, "estateType": "CommercialProperty", "level": level}


def prospect(**payload: Any) -> bytes:
    return raw(id=77, **({"projectId": 12, "contactId": "7"} | payload))


def reasons(holds: tuple[Hold, ...]) -> dict[str, str]:
    return {hold.field: hold.reason for hold in holds}


def related(interest: Any, purchase: Any, options: Options = PLAIN, viewing: bool = False) -> Any:
    relation = relation_of(ESTATE, CONTACT, interest, purchase, viewing)
    assert relation is not None
    return RELATION.get(relation, options)


# Relations at Vitec


def test_a_relation_is_the_rows_of_its_estate_as_they_came() -> None:
    spaced = b'{"id": "ADR1", "speculatorOn": [{"estateId": "OBJ1_2"}, {"estateId":  "OBJ1_1", "level": "Assigned"}]}'
    assert relation_of(ESTATE, CONTACT, spaced, buyer("OBJ1_2")) == (
        b'{"estateId":"OBJ1_1","contactId":"ADR1",'
        b'"speculatorOn":{"estateId":  "OBJ1_1", "level": "Assigned"},"buyerOn":null}'
    )


def test_the_estates_id_is_compared_exactly() -> None:
    for estate in ("OBJ1_11", "obj1_1", " OBJ1_1"):
        assert relation_of(ESTATE, CONTACT, speculator(on(estate)), buyer(estate)) is None


@pytest.mark.parametrize(
    ("interest", "purchase"),
    [(None, None), (speculator(), None), (None, buyer()), (raw(id="x", speculatorOn=None), raw(id="x"))],
)
def test_a_relation_of_which_no_row_is_left_is_gone(interest: Any, purchase: Any) -> None:
    assert relation_of(ESTATE, CONTACT, interest, purchase) is None


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"speculatorOn": 5}', b'{"speculatorOn": [{"level": 3}]}'])
def test_an_answer_that_is_none_is_refused(answer: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        relation_of(ESTATE, CONTACT, answer, None)


def test_a_relation_is_read() -> None:
    content = related(speculator(on(ESTATE, "FollowingBidding")), None)
    assert content.external_id == "OBJ1_1:ADR1"  # R9
    assert content.fields == {"classification": "interested"}
    assert content.parts == {"project": ESTATE, "contact": CONTACT}
    assert content.flags == ("level:FollowingBidding",)
    assert content.changed is None
    assert not content.removed


def test_a_buyer_wins_over_a_level_which_stays_to_be_seen() -> None:  # R4
    content = related(speculator(on(ESTATE, "NotInterested")), buyer(ESTATE))
    assert content.fields == {"classification": "bidder"}
    assert content.flags == ("buyer", "level:NotInterested")
    payload = relation_of(ESTATE, CONTACT, speculator(on(ESTATE, "NotInterested")), buyer(ESTATE))
    assert reasons(RELATION.put({"classification": "interested"}, payload, PLAIN).holds) == {
        "classification": "protected"
    }


@pytest.mark.parametrize("nothing", [None, "", "none"])
def test_a_relation_without_a_level_is_not_contacted(nothing: Any) -> None:  # L12
    content = related(speculator(on(ESTATE, nothing)), None)
    assert (content.fields, content.flags) == ({"classification": "not_contacted"}, ("level:none",))


def test_a_viewing_counts_only_where_that_is_switched_on_and_no_level_says_more() -> None:  # R6
    counts = Options(viewing_means_interested=True)
    for interest, off, switched_on in (
        (speculator(on(ESTATE)), "not_contacted", "interested"),
        (speculator(on(ESTATE, "NotInterested")), "not_interested", "not_interested"),
    ):
        assert related(interest, None, viewing=True).fields == {"classification": off}
        assert related(interest, None, viewing=True, options=counts).fields == {"classification": switched_on}
    alone = related(None, None, viewing=True, options=counts)
    assert (alone.fields, alone.removed) == ({"classification": "interested"}, False)
    assert alone.flags == ("viewing",)
    assert related(None, None, viewing=True).removed


def test_a_viewing_alone_is_no_relation_to_write_over() -> None:  # 12.4, "no relation"
    payload = relation_of(ESTATE, CONTACT, None, None, viewing=True)
    counts = Options(viewing_means_interested=True)
    assert RELATION.put({"classification": "bidder"}, payload, counts) == Patch({"status": "JoinedBidding"})
    assert reasons(RELATION.put({"classification": "not_contacted"}, payload, counts).holds) == {
        "classification": "not_writable"
    }


def test_the_contacts_of_an_estate_are_told_once_and_in_order() -> None:
    payload = raw(
        estateId=ESTATE,
        interests=["ADR2", "ADR1", "ADR2"],
        buyers=["ADR3"],
        viewings=[{"participants": ["ADR4", "ADR1"]}, {"participants": None}, {"participants": ["ADR4", ""]}],
        sellers=["ADR9"],  # R5
    )
    assert relations_in(payload) == Relations(("ADR2", "ADR1"), ("ADR3",), ("ADR4", "ADR1"))
    assert relations_in(raw(estateId=ESTATE, interests=None)) == Relations()
    with pytest.raises(UntranslatablePayload):
        relations_in(raw(interests="ADR1"))


def test_a_level_cannot_be_taken_away() -> None:
    payload = relation_of(ESTATE, CONTACT, speculator(on(ESTATE, "Assigned")), None)
    assert reasons(RELATION.put({"classification": None}, payload, PLAIN).holds) == {
        "classification": "cannot_clear"
    }


def test_what_is_no_classification_is_not_written() -> None:  # G12
    payload = relation_of(ESTATE, CONTACT, speculator(on(ESTATE, "Assigned")), None)
    for word, reason in (("hot", "invalid"), ("unmapped:hot", "unmapped")):
        patch = RELATION.put({"classification": word}, payload, PLAIN)
        assert (patch.body, reasons(patch.holds)) == ({}, {"classification": reason})
        assert any(hold.whole for hold in RELATION.cannot_hold({"classification": word}, None, PLAIN))


# Prospects at Propstreet


def test_a_prospect_is_read() -> None:
    content = PROSPECT.get(
        prospect(
            classification="interested",
            companyId=9,
            etag='"1"',
            externalRefs=[{"namespace": "vitec-next", "id": "OBJ1_1:ADR1"}],
            teaser={"acceptedUtc": None},
        ),
        PLAIN,
    )
    assert (content.external_id, content.reference) == ("77", "OBJ1_1:ADR1")
    assert content.fields == {"classification": "interested"}
    assert content.parts == {"project": "12", "contact": "7"}  # a contact before a company
    assert content.flags == ()


def test_a_company_stands_for_a_prospect_only_where_no_contact_is_known() -> None:  # R7
    assert PROSPECT.get(prospect(contactId=None, companyId=9), PLAIN).parts == {
        "project": "12",
        "company": "9",
    }


def test_a_prospect_of_whom_nobody_is_known_is_shown() -> None:  # R12
    content = PROSPECT.get(prospect(contactId=None), PLAIN)
    assert (content.parts, content.flags) == ({"project": "12"}, ("unknown_person",))


@pytest.mark.parametrize("removal", [{"deletedUtc": "2026-05-18T20:22:36Z"}, {"action": {"type": "removed"}}])
def test_a_removal_is_one_or_means_not_interested_as_configured(removal: Any) -> None:  # H13, H14
    payload = prospect(classification="bidder", **removal)
    plain, shown = PROSPECT.get(payload, PLAIN), PROSPECT.get(payload, SHOWN_AS_NOT_INTERESTED)
    assert (plain.removed, plain.flags, plain.fields) == (True, (), {"classification": "bidder"})
    assert (shown.removed, shown.flags) == (False, ("removed",))
    assert shown.fields == {"classification": "not_interested"}
    patch = PROSPECT.put({"classification": "interested"}, payload, SHOWN_AS_NOT_INTERESTED)
    assert (patch.body, reasons(patch.holds)) == ({}, {"*": "not_writable"})


def test_another_action_is_no_removal() -> None:
    assert not PROSPECT.get(prospect(action={"type": "added"}), PLAIN).removed


def test_a_prospect_is_created_with_its_reference_and_classified_afterwards() -> None:  # R9, R10
    want: dict[str, Value] = {"reference": "OBJ1_1:ADR1"}
    assert PROSPECT.on_create == want.keys()
    assert PROSPECT.put(want, None, PLAIN) == Patch(
        {"externalRefs": [{"namespace": "vitec-next", "id": "OBJ1_1:ADR1"}]}
    )
    assert PROSPECT.put(
        {"classification": "bidder"}, prospect(classification="not_contacted"), PLAIN
    ) == Patch({"classification": "bidder"})


def test_other_references_of_a_prospect_stay() -> None:
    present = prospect(externalRefs=[{"namespace": "crm", "id": "5"}])
    assert PROSPECT.put({"reference": "OBJ1_1:ADR1"}, present, PLAIN).body == {
        "externalRefs": [{"namespace": "crm", "id": "5"}, {"namespace": "vitec-next", "id": "OBJ1_1:ADR1"}]
    }
    assert reasons(PROSPECT.put({"reference": "OBJ1_1:ADR1"}, prospect(), PLAIN).holds) == {
        "reference": "unread"
    }


@pytest.mark.parametrize(
    ("value", "reason"), [(None, "cannot_clear"), ("hot", "invalid"), ("unmapped:x", "unmapped")]
)
def test_what_propstreet_does_not_take_is_held(value: Value, reason: str) -> None:
    patch = PROSPECT.put({"classification": value}, prospect(classification="bidder"), PLAIN)
    assert (patch.body, reasons(patch.holds)) == ({}, {"classification": reason})


def test_a_classification_that_nobody_knows_is_shown() -> None:  # G12
    assert PROSPECT.get(prospect(classification="hot"), PLAIN).fields == {"classification": "unmapped:hot"}


@pytest.mark.parametrize(
    "payload", [b"null", b'{"projectId": "12"}', prospect(classification=3), prospect(action="removed")]
)
def test_an_odd_prospect_is_refused(payload: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        PROSPECT.get(payload, PLAIN)


@pytest.mark.parametrize(
    "payload", [b"{}", raw(estateId=ESTATE), raw(estateId=ESTATE, contactId=CONTACT, buyerOn=1)]
)
def test_an_odd_relation_is_refused(payload: bytes) -> None:
    with pytest.raises(UntranslatablePayload):
        RELATION.get(payload, PLAIN)


def test_a_row_that_cannot_be_read_hides_no_other() -> None:
    lists = b'{"speculatorOn":[{"estateId":7},null,{"estateId":"OBJ1","level":4}]}'
    assert relation_of("OBJ1", "ADR1", lists, None) is not None


def test_beside_a_row_that_cannot_be_read_nobody_is_gone() -> None:
    with pytest.raises(UntranslatablePayload):
        relation_of("OBJ2", "ADR1", b'{"speculatorOn":[{"estateId":7}]}', None)


def test_nobody_is_not_among_the_people_of_an_estate() -> None:
    estate = b'{"interests":["A",null],"buyers":[null],"viewings":[null,{"participants":[null,"B"]}]}'
    assert relations_in(estate) == Relations(("A",), (), ("B",))
