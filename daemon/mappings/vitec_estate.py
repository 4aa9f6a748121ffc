"""A Vitec estate or project (sections 9 and 10 of the mapping rules; the whole v1 record of Get{Type}, GetProject).

Of estates nothing can be written. Projects (multi-unit) have PUT CRM/Project, which takes the name and, if
the operator switched it on, four statuses (S35); what it does to parts that are left out is unknown, so that
it always gets the whole of what is there.

A payload with the key `hub` is an estate of Vitec Next (Norway). The Hub shares no field's name with Connect:
the few that public clients of it read are read here, and nothing is written.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.fields import UNMAPPED, Value, blank, plain_number
from daemon.domain.times import vendor_time
from daemon.mappings.amounts import Number, amount
from daemon.mappings.estate_statuses import Disagreement, EstateStatus, Unknown, fields_of, found, spelt
from daemon.mappings.lens import RECORD, Content, Hold, Lens, Options, Patch, Seen, Text, carried

LONGEST_NAME = 200
"""Propstreet's limit: a longer source of a name is passed over (E3), a longer name is not written (E2)."""

PROJECT = "project"
"""The flag of a multi-unit project, the only kind that can be written (H9)."""

HUB = "hub"
"""The flag of an estate at Vitec Next (Hub), where nothing can be written."""

STATUS = "estate_status:"
"""Begins the flag that tells the status at Vitec, which says more than a classification (S36)."""

WRITABLE = ("Coming", "Running", "Resting", "Soldout")
"""The statuses that PUT CRM/Project takes."""

WRITTEN: Mapping[str, str] = {"active": "Running", "draft": "Resting", "inactive": "Resting"}
"""A classification to the status that is written for it (S35)."""


class Status(Struct, frozen=True):
    """A number, as text, and a Swedish label; neither is an enum's name (S33)."""

    id: str | int | None = None
    name: str | None = None


class Assignment(Struct, frozen=True):
    """The assignment: the status, the estate's number in the broker's books, and who builds a project."""

    status: Status | None = None
    estatenumber: str | int | None = None
    producer: Any = None


class Coordinate(Struct, frozen=True):
    """Degrees, under the names that Vitec has for them."""

    latitud: Number = None
    longitud: Number = None


class Address(Struct, frozen=True, rename="camel"):
    """An address, as far as it names or places an estate (E3)."""

    street_address: str | None = None
    city: str | None = None
    coordinate: Coordinate | None = None


class BaseInformation(Struct, frozen=True, rename="camel"):
    """What an estate is. `project_name` and `address` are a project's; `address` is kept whole, to be sent back."""

    project_name: Text = UNSET
    address: dict[str, Any] | None = None
    object_address: Address | None = None
    property_unit_designation: str | None = None
    sensitive_business: bool | None = None


class EstatePrice(Struct, frozen=True):
    """The price, in SEK (E6). `offer`: bids are asked for, the number is none."""

    price: Number = None
    offer: bool | None = None


class Description(Struct, frozen=True, rename="camel"):
    """The texts that name an estate, or go back with a project."""

    selling_heading: str | None = None
    long_selling_description: str | None = None


class AdvertiseOn(Struct, frozen=True, rename="camel"):
    """What may be shown."""

    homepage: bool | None = None
    hide_price: bool | None = None
    hide_address: bool | None = None


class HubAddress(Struct, frozen=True):
    """An address at the Hub, in the vendor's spelling."""

    streetAdress: str | None = None  # noqa: N815 - with one d, as the vendor sends it
    city: str | None = None


class HubEstate(Struct, frozen=True, rename="camel"):
    """An estate of Vitec Next, as far as anybody describes it.

    That 40 to 48 are sold or taken over is stated; that such a number stands in `status` is not.
    """

    address: HubAddress | None = None
    assignment_num: str | int | None = None
    status: Any = None


class Estate(Struct, frozen=True, rename="camel"):
    """The mapped part of an estate's or a project's payload.

    `sales_start_date` and `moving_in` only go back with a project: that the call takes them as `saleStart` and
    `preliminaryAccess`, and the assignment's `producer` as its own, follows from the names alone.
    """

    estate_id: str
    date_changed: str | None = None
    assignment: Assignment | None = None
    base_information: BaseInformation | None = None
    price: EstatePrice | None = None
    description: Description | None = None
    advertise_on: AdvertiseOn | None = None
    commission_type: str | int | None = None
    marketed_as: Any = None
    sales_start_date: Any = None
    moving_in: Any = None
    hub: HubEstate | None = None


def hub_estate_of(estate: str, detail: bytes) -> bytes:
    """Put an estate of the Hub together: what the Hub says of it, which leaves its id out, under that id."""
    return msgspec.json.encode({"estateId": estate, "hub": Raw(detail)})


def name_of(estate: Estate) -> str:
    """Give the first source of a name that is filled, not too long and not hidden; the last is the id (E2, E3)."""
    base = estate.base_information or BaseInformation()
    address = address_of(estate)
    sources = (
        base.project_name,
        estate.description.selling_heading if estate.description else None,
        None if hides_address(estate) else _street(address),
        base.property_unit_designation,
        _text(estate.assignment.estatenumber) if estate.assignment else None,
    )
    return _name_among(sources, estate.estate_id)


def address_of(estate: Estate) -> Address:
    """Give the object's address, or a project's (E4); raises UntranslatablePayload."""
    base = estate.base_information or BaseInformation()
    if base.object_address is not None or base.address is None:
        return base.object_address or Address()
    try:
        return msgspec.convert(base.address, Address)
    except msgspec.ValidationError as error:
        raise UntranslatablePayload(f"vitec project: {error} in baseInformation.address") from None


def hides_address(estate: Estate) -> bool:
    """Tell whether nobody may learn where it is (hideAddress)."""
    return estate.advertise_on is not None and bool(estate.advertise_on.hide_address)


def price_in(estate: Estate) -> str | UnsetType | None:
    """Give the price, UNSET when there is none, None when it is hidden or only an invitation to bid (E6).

    A price that was there before it was hidden is so taken away again.
    """
    price, shown = estate.price or EstatePrice(), estate.advertise_on or AdvertiseOn()
    value = amount(price.price, "vitec project: price.price")
    if price.offer or shown.hide_price:
        return None
    return UNSET if value is None or value <= 0 else f"{plain_number(value)} SEK"


class VitecEstate(Lens[Estate]):
    """Vitec's estate or project."""

    vendor = "vitec"
    category = "project"
    fields = ("name", "classification", "price", "status", "stage")
    limits: ClassVar[Mapping[str, int]] = {"name": LONGEST_NAME}

    def __init__(self) -> None:
        super().__init__(Estate)

    def translate(self, record: Estate, options: Options) -> Content:
        """Read a decoded payload."""
        if record.hub is not None:
            return _hub_content(record.estate_id, record.hub)
        status = _status(record)
        fields = _state(status, options)
        fields["name"] = name_of(record)
        fields |= carried(price=price_in(record))
        return Content(
            external_id=record.estate_id,
            fields=fields,
            changed=vendor_time(record.date_changed),
            flags=_flags(record, status),
        )

    def kept(self, field: str, wanted: Value, read: Value, options: Options) -> bool:
        """Tell whether the value read is the wanted one; an inactive project rests at Vitec (S35)."""
        if options.project_status_writes and (field, wanted, read) == ("classification", "inactive", "draft"):
            return True
        return super().kept(field, wanted, read, options)

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold all but a project's name (H9) and, where it is switched on, its classification (S35).

        That a new one cannot be created is told once, by `check_create`.
        """
        if seen is None:
            return None
        if HUB in seen.flags:
            return Hold(
                field, "not_writable", "nothing can be written to Vitec Next (Hub); change it there by hand"
            )
        if PROJECT not in seen.flags:
            return Hold(
                field, "not_writable", "Vitec has no call that changes an estate; change it at Vitec by hand"
            )
        match field:
            case "name" if value is None:
                return Hold(field, "cannot_clear", "a project must have a name; give one at Propstreet")
            case "name":
                return None
            case "classification":
                return _classification_problem(value, seen, options)
        return Hold(field, "not_writable", f"Vitec takes no {field} of a project; change it at Vitec by hand")

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold every new estate (H8)."""
        detail = "Vitec has no call that creates an estate; create it at Vitec and it will be linked"
        return Hold(RECORD, "not_writable", detail)

    def write(
        self, due: Mapping[str, Value], record: Estate | None, options: Options, identity: str | None
    ) -> Patch:
        """Give the body of PUT CRM/Project: all that the call takes, as it is, with what is due (section 13)."""
        if record is None or not due:
            return Patch({})
        present = status.name if isinstance(status := _status(record), EstateStatus) else ""
        target = WRITTEN.get(str(due.get("classification")))
        if target == present or (target == "Running" and present == "Coming"):
            target = None
        if target is None and "name" not in due:
            return Patch({})
        base, texts = record.base_information or BaseInformation(), record.description or Description()
        information = {
            "status": target or (present if present in WRITABLE else None),
            "projectName": due.get("name", base.project_name),
            "saleStart": record.sales_start_date,
            "preliminaryAccess": record.moving_in,
            "producer": record.assignment.producer if record.assignment else None,
            "address": base.address,
        }
        body = {
            "baseInformation": _present(information),
            "sellingHeading": texts.selling_heading,
            "longSellingDescription": texts.long_selling_description,
        }
        return Patch(_present(body))


def _hub_content(estate: str, record: HubEstate) -> Content:
    """What is known of an estate of the Hub. It bears no time: the list's own is in a form that nobody states."""
    address = record.address or HubAddress()
    street = _street(Address(street_address=address.streetAdress, city=address.city))
    fields: dict[str, Value] = {"name": _name_among((street, _text(record.assignment_num)), estate)}
    if type(record.status) is int and 40 <= record.status <= 48:
        fields["status"] = "closed"
    return Content(external_id=estate, fields=fields, changed=None, flags=(HUB,))


def _name_among(sources: Iterable[Text], estate: str) -> str:
    names = (source.strip() for source in sources if isinstance(source, str))
    return next((name for name in names if 0 < len(name) <= LONGEST_NAME), estate)


def _status(record: Estate) -> EstateStatus | Disagreement | Unknown | None:
    status = record.assignment.status if record.assignment else None
    return found(_text(status.id), _text(status.name)) if status else None


def _state(status: EstateStatus | Disagreement | Unknown | None, options: Options) -> dict[str, Value]:
    match status:
        case EstateStatus():
            return fields_of(status, options.statuses)
        case Unknown(word=word):
            return {"classification": f"{UNMAPPED}{word}"}
    return {}


def _flags(record: Estate, status: EstateStatus | Disagreement | Unknown | None) -> tuple[str, ...]:
    base, shown = record.base_information or BaseInformation(), record.advertise_on or AdvertiseOn()
    name = status.name if isinstance(status, EstateStatus) else ""
    flags = {
        PROJECT: base.project_name is not UNSET,
        "sensitive": bool(base.sensitive_business),  # E12
        "commission": record.commission_type in ("Valuation", "Writing"),  # E11
        "unpublished": shown.homepage is False,
        "status_disagrees": isinstance(status, Disagreement),  # S33
        f"{STATUS}{name}": bool(name),
    }
    return tuple(flag for flag, is_so in flags.items() if is_so)


def _classification_problem(value: Value, seen: Seen, options: Options) -> Hold | None:
    if not options.project_status_writes:
        detail = "writing a project's status is off (project_status_writes); change the status at Vitec"
        return Hold("classification", "not_writable", detail)
    if value not in WRITTEN:
        return Hold("classification", "invalid", "this is no classification of a project; correct it there")
    # by the flag: a status that says nothing about a classification leaves the one that was seen before
    names = (flag.removeprefix(STATUS) for flag in seen.flags if flag.startswith(STATUS))
    status = next((known for name in names if (known := spelt(name))), None)
    if status is None or fields_of(status, options.statuses).get("classification") not in WRITTEN:
        detail = "its status at Vitec has no classification, and may be final; change the status at Vitec"
        return Hold("classification", "protected", detail)
    return None


def _street(address: Address) -> str:
    """Street and city; a city alone names nothing."""
    parts = [part.strip() for part in (address.street_address, address.city) if not blank(part) and part]
    return ", ".join(parts) if not blank(address.street_address) else ""


def _text(value: str | int | None) -> str:
    return "" if value is None else str(value).strip()


def _present(values: Mapping[str, object]) -> dict[str, object]:
    """What is there: nothing is made up for a part that is not."""
    return {name: value for name, value in values.items() if value is not None and value is not UNSET}
