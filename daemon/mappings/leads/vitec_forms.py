"""The two forms that are posted as Vitec has them: an interest in an estate, and a watch of its final price.

Such a body is handed on byte for byte. Here it is only looked at for what it takes to hand it on, and for what
Vitec is sure to refuse; lengths and values are Vitec's to judge. Names count without regard to case, as they do
for Vitec. Sources: help pages Interest/SendInterestAndContactOnEstate and Advertising/…/FinalPriceWatched.
"""

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from daemon.mappings.leads.document import Unfit, text
from daemon.mappings.leads.lead import FieldError, InvalidLead, Lead, LeadKind

Loc = tuple[str, ...]

Shape: TypeAlias = "Mapping[str, Shape] | list[Shape] | None"
"""What may stand at a place: an object with these fields, a list of one shape, or (None) one value."""


class Form(Struct, frozen=True):
    """What is known of a form: its fields, what is necessary, and where the parts of a Lead stand.

    `channels`: one of them has to be given. `required` holds Vitec's own words.
    """

    kind: LeadKind
    shape: Shape
    required: tuple[tuple[Loc, str], ...]
    channels: tuple[Loc, ...]
    customer: Loc
    estate: Loc
    email: Loc
    phones: tuple[Loc, ...]
    names: tuple[Loc, ...]


LONGEST_ESTATE_ID: Final = 40

_ESTATE_IN_PATH: Final = ("path", "estateId")

_NEEDS_CHANNEL: Final = "Epostadress, telefonnummer (bostad eller arbete) eller mobilnummer måste anges."


def _fields(names: str, **inner: Shape) -> dict[str, Shape]:
    return {**dict.fromkeys(names.split()), **inner}


_EMAIL: Final = _fields("emailAddress emailAddress2")
_COORDINATE: Final = _fields("longitud latitud")

_FLAGS: Final = frozenset({"isForeignSocialSecurityNumber", "approval", "wishAdvertising", "notifyUser"})

_UPDATE_PERSON: Final = _fields(
    "firstName lastName socialSecurityNumber isForeignSocialSecurityNumber telePhone workPhone cellPhone otherPhone"
    " approval approvalDate gdprApprovalDate obtainThrough contactId customerId userId wishAdvertising note"
    " leadScore",
    categoryIds=[None],
    address=_fields("streetAddress zipCode city countryCode"),
    email=_EMAIL,
    coordinate=_COORDINATE,
    task=_fields("predefinedTaskId note estateId assignedTo"),
    customField=_fields("name value"),
)

INTEREST: Final = Form(
    kind="interest",
    shape={
        "body": _fields(
            "estateId interestNote notifyUser",
            updatePerson=_UPDATE_PERSON,
            presentAccommodation=_fields(
                "estateType livingSpace numberOfRooms price other", coordinate=_COORDINATE
            ),
        )
    },
    required=(
        (("body", "updatePerson"), "Uppgift om personen krävs"),
        (("body", "updatePerson", "customerId"), "Kundid krävs"),
        (("body", "estateId"), "Objektid krävs"),
    ),
    channels=(
        ("body", "updatePerson", "email", "emailAddress"),
        ("body", "updatePerson", "telePhone"),
        ("body", "updatePerson", "workPhone"),
        ("body", "updatePerson", "cellPhone"),
    ),
    customer=("body", "updatePerson", "customerId"),
    estate=("body", "estateId"),
    email=("body", "updatePerson", "email", "emailAddress"),
    phones=(
        ("body", "updatePerson", "cellPhone"),
        ("body", "updatePerson", "telePhone"),
        ("body", "updatePerson", "workPhone"),
    ),
    names=(("body", "updatePerson", "firstName"), ("body", "updatePerson", "lastName")),
)

FINAL_PRICE: Final = Form(
    kind="final_price",
    shape={
        "path": _fields("customerId estateId"),
        "body": _fields(
            "prospectiveBuyerStatus leadSourceId message",
            person=_fields(
                "firstName lastName socialSecurityNumber isForeignSocialSecurityNumber",
                address=_fields("streetAddress zipCode city"),
                email=_EMAIL,
                telephone=_fields("home work cell other"),
            ),
            marketing=_fields("referrer", utmTags=[_fields("name value")]),
        ),
    },
    required=(
        (("path", "customerId"), "Kundid krävs"),
        (("path", "estateId"), "Objektid krävs"),
        (("body", "person"), "En kontaktperson måste anges"),
        (("body", "person", "firstName"), "Förnamn krävs"),
        (("body", "person", "lastName"), "Efternamn krävs"),
    ),
    channels=(
        ("body", "person", "email", "emailAddress"),
        ("body", "person", "telephone", "home"),
        ("body", "person", "telephone", "work"),
        ("body", "person", "telephone", "cell"),
    ),
    customer=("path", "customerId"),
    estate=("path", "estateId"),
    email=("body", "person", "email", "emailAddress"),
    phones=(
        ("body", "person", "telephone", "cell"),
        ("body", "person", "telephone", "home"),
        ("body", "person", "telephone", "work"),
    ),
    names=(("body", "person", "firstName"), ("body", "person", "lastName")),
)


def lead_of(form: Form, given: Mapping[str, object]) -> Lead:
    """Read a form from its `path` and `body`; raises InvalidLead with every error."""
    wrong: list[FieldError] = []
    known = _known(given, form.shape, (), wrong)
    wrong += _misnamed(known)
    errors = (*wrong, *_missing(form, known, [error.loc for error in wrong]))
    if errors:
        raise InvalidLead(errors)
    return Lead(
        kind=form.kind,
        customer_id=_text_at(known, form.customer) or "",
        estate_id=_text_at(known, form.estate),
        email=_text_at(known, form.email),
        phone=next(filter(None, (_text_at(known, loc) for loc in form.phones)), None),
        name=" ".join(filter(None, (_text_at(known, loc) for loc in form.names))) or None,
        canonical=msgspec.json.encode([form.kind, known], order="sorted"),
    )


def _misnamed(known: object) -> Iterator[FieldError]:
    """An estate in a path that would be another path there, or that no estate is called."""
    estate = _text_at(known, _ESTATE_IN_PATH)
    if estate is not None and (estate in (".", "..") or len(estate) > LONGEST_ESTATE_ID):
        yield FieldError(_ESTATE_IN_PATH, "not an estate's id")


def _known(value: object, shape: Shape, loc: Loc, wrong: list[FieldError]) -> object:
    """What is known of a value, spelt in one way: without nulls, blank texts and empty objects."""
    match value, shape:
        case None, _:
            return None
        case dict(), dict():
            return _known_fields(value, shape, loc, wrong)
        case list(), [element]:
            return [_known(one, element, (*loc, str(at)), wrong) for at, one in enumerate(value)] or None
        case bool(), None if loc[-1] in _FLAGS:
            return value
        case _, None:
            try:
                return text(value)
            except Unfit as error:
                wrong.append(FieldError(loc, str(error)))
                return None
    wrong.append(FieldError(loc, "object expected" if isinstance(shape, dict) else "list expected"))
    return None


def _known_fields(
    value: Mapping[str, object], shape: Mapping[str, Shape], loc: Loc, wrong: list[FieldError]
) -> dict[str, object] | None:
    folded = {name.lower(): one for name, one in value.items()}  # of two spellings the last counts
    read = {
        name: _known(folded.get(name.lower()), inner, (*loc, name), wrong) for name, inner in shape.items()
    }
    return {name: one for name, one in read.items() if one is not None} or None


def _missing(form: Form, known: object, wrong: list[Loc]) -> Iterator[FieldError]:
    """What is necessary and not there; a place that holds something wrong is not called missing too."""

    def absent(loc: Loc) -> bool:
        return _at(known, loc) is None and not any(loc[: len(place)] == place for place in wrong)

    for loc, words in form.required:
        if absent(loc):
            yield FieldError(loc, words)
    if all(absent(loc) for loc in form.channels):
        yield FieldError(form.channels[0], _NEEDS_CHANNEL)


def _at(known: object, loc: Loc) -> object:
    for name in loc:
        known = known.get(name) if isinstance(known, dict) else None
    return known


def _text_at(known: object, loc: Loc) -> str | None:
    found = _at(known, loc)
    return found if isinstance(found, str) else None
