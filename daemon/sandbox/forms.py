"""What people fill in on the web: valuations, interests in an estate, a watch of a final price.

They are posted to the daemon's own port, each in the words of the form it comes from: RealAI's lead, or Vitec's
SendInterestAndContactOnEstate and FinalPriceWatched.
"""

from collections.abc import Mapping
from typing import Any

from daemon.sandbox.steps import Step

SOURCES = {"LED100": "Värderingen på webben", "LED200": "Slutprisbevakning"}
"""Vitec's lead sources by id."""

CALLS = {
    "lead": "Lead/Person",
    "interest": "SendInterestAndContactOnEstate",
    "final_price": "FinalPriceWatched",
}
"""A form to the call at Vitec that takes its leads."""


def _lead(
    form: str, key: str, note: str, name: tuple[str, str], email: str, phone: str, **fields: str
) -> Step:
    first, last = name
    person = {"first_name": first, "last_name": last, "email": email, "phone": phone}
    return Step(f"{first} {last}", "web", "create", "lead", key, {"form": form, **person, **fields}, note)


STORY = (
    _lead(
        "lead", "sigrid", "has a flat in Bergen valued",
        ("Sigrid", "Bjørnsen"), "sigrid.bjornsen@example.no", "+47 400 00 020",
        address="Øvregaten 7", zip_code="5003", city="Bergen",
        valuation="4850000", property_sub_type="Apartment", living_area="71.5", rooms="3", association_fee="3900",
    ),
    _lead(
        "lead", "goran", "has a house in Örebro valued",
        ("Göran", "Åkesson"), "goran.akesson@example.se", "070-174 06 21",
        address="Köpmangatan 12", zip_code="702 10", city="Örebro",
        valuation="5500000", property_sub_type="SingleFamilyResidence", living_area="150", secondary_area="40",
        lot_size_area="800", year_built="1992", occupant_type="Owner",
    ),
    _lead(
        "interest", "henrik", "wants to see the mill",
        ("Henrik", "Sørlie"), "henrik.sorlie@example.no", "+47 400 00 022",
        estate="mill", message="Passer kvernen til et lite bryggeri?",
    ),
    _lead(
        "lead", "marta", "has a townhouse in Lund valued",
        ("Märta", "Lindström"), "marta.lindstrom@example.se", "+46 70 174 06 23",
        address="Ängsvägen 3", zip_code="224 71", city="Lund",
        valuation="6200000", property_sub_type="Townhouse", living_area="118", rooms="5", qualification="Vill sälja i vår",
    ),
    # Vitec finds this one by name and address, and keeps the new mobile on the card that is there.
    _lead(
        "lead", "linnea", "has her own flat valued",
        ("Linnéa", "Sjögren"), "linnea.sjogren@example.se", "+46 70 174 06 24",
        address="Östra Ågatan 9", zip_code="753 22", city="Uppsala",
        valuation="3100000", property_sub_type="Apartment", living_area="44", rooms="2", association_fee="2850",
    ),
    _lead(
        "interest", "tuva", "wants a home in the village",
        ("Tuva", "Bråthen"), "tuva.brathen@example.no", "0047 400 00 025",
        estate="village", message="Er det heis i første byggetrinn?",
    ),
    _lead(
        "lead", "oyvind", "has a house in Bodø valued",
        ("Øyvind", "Tangen"), "oyvind.tangen@example.no", "+47 400 00 026",
        address="Sjøgata 41", zip_code="8006", city="Bodø",
        valuation="7400000", property_sub_type="SingleFamilyResidence", living_area="182", year_built="1978",
    ),
    _lead(
        "interest", "pelle", "asks about the mill",
        ("Pelle", "Öst"), "pelle.ost@example.se", "070-174 06 27",
        estate="mill", message="Finns det lastkaj på gården?",
    ),
    _lead(
        "final_price", "gunnel", "wants to know what the homes go for",
        ("Gunnel", "Ström"), "gunnel.strom@example.se", "070-174 06 28",
        estate="village", message="Bevaka slutpriset",
    ),
    _lead(
        "lead", "ase", "has a terraced house in Førde valued",
        ("Åse", "Håkonsen"), "ase.hakonsen@example.no", "+47 400 00 029",
        address="Hafstadvegen 5", zip_code="6800", city="Førde",
        valuation="3650000", property_sub_type="Terraced", living_area="96", rooms="4", occupant_type="TenantOwnership",
    ),
)  # fmt: skip

_OF_PERSON = ("first_name", "last_name", "email", "phone", "address", "zip_code", "city", "qualification")


def request(step: Step, customer: str, estate: str) -> tuple[str, Mapping[str, Any]]:
    """The path and the body with which a form of Vitec's `customer` is posted; `estate` is Vitec's id or ""."""
    told = {name: value for name, value in step.fields.items() if isinstance(value, str)}
    name = {"firstName": told["first_name"], "lastName": told["last_name"]}
    email = {"emailAddress": told["email"]}
    match told.pop("form"):
        case "interest":
            person = {"customerId": customer, **name, "email": email, "cellPhone": told["phone"]}
            body = {"updatePerson": person, "estateId": estate, "interestNote": told["message"]}
            return "/Interest/SendInterestAndContactOnEstate", body
        case "final_price":
            person = {**name, "email": email, "telephone": {"cell": told["phone"]}}
            watch = {"person": person, "leadSourceId": "LED200", "message": told["message"]}
            return f"/Advertising/Estate/{customer}/{estate}/FinalPriceWatched", watch
    valuation: dict[str, Any] = {key: value for key, value in told.items() if key not in _OF_PERSON}
    valuation["valuation"] = int(valuation["valuation"])
    return "/lead", {
        "customer": {"customer_id": customer, "lead_id": "LED100"},
        "person": {key: told[key] for key in _OF_PERSON if key in told},
        "property": valuation,
    }
