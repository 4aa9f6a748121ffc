"""What the lead and interest calls accept, and the person that each names.

Sources: Vitec's help pages CRM/Lead, Lead/Person, SendInterestAndContactOnEstate, FinalPriceWatched,
AdvertisingLeadPerson and InterestApplication Status; Vitec's description of SendInterestOnEstate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daemon.sandbox.twins.vitec_connect.switches import Switches
from daemon.sandbox.twins.vitec_connect.writing import (
    FIELDS,
    NO_CHANNEL,
    NO_PERSON,
    Sent,
    groups_of,
    parse_body,
    read_fields,
    refuse,
    spread,
)
from daemon.sandbox.twins.vitec_connect.writing import Field as Rule

INTEREST_STATUS = ("Interested", "VeryInterested", "Assigned", "NotInterested")
WATCHER_STATUS = ("Assigned", "Interested", "NotInterested")
LEAD_TYPES = ("AcceptObjectFlow", "ContactContactFlow", "ProspectiveLogFlow")
_ACCOMMODATION = (
    *("House", "RowHouse", "HousingCooperative", "Cottage", "Plot", "AgricultureProperty", "Tenancy"),
    *("OtherHousing", "CommercialProperty", "Condominium"),
)

_HOME = {
    "presentAccommodation": Rule("", holds=dict),
    "presentAccommodation.estateType": Rule("", holds=(str, int), choices=_ACCOMMODATION),
}
_ESTATE_ID = Rule("", 40, "Objektid", required="Objektid krävs")


def _person(longest_name: int, prefix: str = "") -> dict[str, Rule]:
    """The fields of a lead's person; the path of each is its name in UpdatePerson."""
    names = {"first": "Förnamn", "last": "Efternamn"}
    phones = {"home": "telePhone", "work": "workPhone", "cell": "cellPhone", "other": "otherPhone"}
    as_updated = (
        *("socialSecurityNumber", "isForeignSocialSecurityNumber", "gdprApprovalDate"),
        *("email.emailAddress", "email.emailAddress2"),
        *("address.streetAddress", "address.zipCode", "address.city"),
    )
    taken = {
        **{
            f"{which}Name": Rule(f"{which}Name", longest_name, label, least=1, required=f"{label} krävs")
            for which, label in names.items()
        },
        **{f"telephone.{place}": _renamed(name) for place, name in phones.items()},
        **{name: _renamed(name) for name in as_updated},
    }
    return {f"{prefix}{name}": rule for name, rule in taken.items()}


def _renamed(name: str) -> Rule:
    rule = FIELDS["person"][name]
    return Rule(name, rule.limit, rule.label, rule.holds)


_PERSON_LEAD = _person(30) | {
    "message": Rule("", required="Meddelande krävs"),
    "typeId": Rule("", required="Typ krävs"),
}
_CONTACT_LEAD = {
    "contactId": Rule("", 40, "Kontaktid", required="Kontaktid krävs"),
    "assignedToId": Rule("", required="Mottagare krävs"),
    "leadSourceId": Rule("", required="Leadkälla krävs"),
    "message": Rule(""),
}
_INTEREST = _HOME | {
    "customerId": Rule("", 40, "Kundid", required="Kundid krävs"),
    "estateId": _ESTATE_ID,
    "contactId": Rule("", 40, "Kontaktid", required="Kontaktid krävs"),
    "note": Rule(""),
    "interestNote": Rule(""),
    "notifyUser": Rule("", holds=bool),
}
_INTEREST_AND_CONTACT = _HOME | {
    "updatePerson": Rule("", holds=dict, required=NO_PERSON),
    "estateId": _ESTATE_ID,
    "interestNote": Rule(""),
    "notifyUser": Rule("", holds=bool),
}
_ADVERTISED = (
    _person(40)
    | _HOME
    | {
        "contactMessage": Rule(""),
        "status": Rule("", holds=(str, int), choices=INTEREST_STATUS),
        "leadSourceId": Rule(""),
    }
)
_WATCHER = _person(40, "person.") | {
    "person": Rule("", holds=dict, required="En kontaktperson måste anges"),
    "prospectiveBuyerStatus": Rule("", holds=(str, int), choices=WATCHER_STATUS),
    "leadSourceId": Rule(""),
    "message": Rule(""),
}


@dataclass(frozen=True, slots=True)
class Lead:
    """A lead that passed: the person to find or make (or the contact that it names), and what it asks for."""

    person: Sent | None = None
    contact: str = ""
    customer: str = ""
    estate: str = ""
    source: str = ""
    status: str | None = None
    message: str | None = None


def person_lead(body: object, switches: Switches) -> Lead:
    """Lead/Person. Raises RefusedError."""
    values, complaints = read_fields(_object(body), _PERSON_LEAD, switches, "lead")
    refuse(complaints)
    return Lead(_sent(body, values, _PERSON_LEAD), source=values["typeId"].strip(), message=values["message"])


def contact_lead(body: object, switches: Switches) -> Lead:
    """CRM/Lead. Raises RefusedError."""
    values, complaints = read_fields(_object(body), _CONTACT_LEAD, switches, "lead")
    refuse(complaints)
    return Lead(
        contact=values["contactId"], source=values["leadSourceId"].strip(), message=values.get("message")
    )


def interest(body: object, switches: Switches) -> Lead:
    """Interest/SendInterestOnEstate. Raises RefusedError."""
    values, complaints = read_fields(_object(body), _INTEREST, switches, "interest")
    refuse(complaints)
    return Lead(
        contact=values["contactId"],
        customer=values["customerId"],
        estate=values["estateId"],
        message=values.get("interestNote") or values.get("note"),
    )


def interest_and_contact(body: object, switches: Switches) -> Lead:
    """Interest/SendInterestAndContactOnEstate. Raises RefusedError."""
    values, complaints = read_fields(_object(body), _INTEREST_AND_CONTACT, switches, "interest")
    person = values.get("updatePerson")
    sent = None
    if isinstance(person, dict):
        sent, about_person = parse_body("person", person, switches, "interest.UpdatePerson")
        complaints |= about_person
    refuse(complaints)
    customer = sent.filled("customerId") if sent else ""
    return Lead(sent, customer=customer, estate=values["estateId"], message=values.get("interestNote"))


def advertised_interest(body: object, switches: Switches) -> Lead:
    """Advertising/Estate/{c}/{e}/interest. Raises RefusedError."""
    values, complaints = read_fields(_object(body), _ADVERTISED, switches, "interest")
    person = _sent(body, values, _ADVERTISED)
    refuse(complaints | _unreachable(person, "interest"))
    return Lead(
        person,
        source=_text(values.get("leadSourceId")),
        status=values.get("status"),
        message=values.get("contactMessage"),
    )


def final_price(body: object, switches: Switches) -> Lead:
    """Advertising/Estate/{c}/{e}/FinalPriceWatched. Raises RefusedError."""
    values, complaints = read_fields(_object(body), _WATCHER, switches, "finalPriceWatched")
    person = _sent(body, values, _WATCHER, "person.")
    if isinstance(values.get("person"), dict):
        complaints |= _unreachable(person, "finalPriceWatched.Person")
    refuse(complaints)
    return Lead(
        person,
        source=_text(values.get("leadSourceId")),
        status=values.get("prospectiveBuyerStatus"),
        message=values.get("message"),
    )


def _object(body: object) -> Mapping[str, Any]:
    return body if isinstance(body, dict) else {}


def _text(value: object) -> str:
    return str(value or "").strip()


def _sent(body: object, values: Mapping[str, Any], rules: Mapping[str, Rule], prefix: str = "") -> Sent:
    as_updated = {rules[name].path: value for name, value in values.items() if rules[name].path}
    return Sent("person", as_updated, groups_of(spread(_object(body)), prefix))


def _unreachable(person: Sent, prefix: str) -> dict[str, str]:
    return {} if person.has_channel() else {prefix: NO_CHANNEL}
