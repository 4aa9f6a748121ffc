"""The property behind a Vitec estate: the slice of its v1 record that says what and where it is.

Optional. It has no id of its own at Vitec, and nothing of it can be written (section 15).
"""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET

from daemon.domain.times import vendor_time
from daemon.mappings.amounts import located
from daemon.mappings.decoding import decoded
from daemon.mappings.lens import Content, Options, carried
from daemon.mappings.vitec import UnwritableLens
from daemon.mappings.vitec_estate import Coordinate, Estate, address_of, hides_address, name_of, price_in

CATEGORIES: Mapping[str, str] = {
    "officeproperty": "office",
    "retailproperty": "retail",
    "industrialproperty": "industrial",
    "warehouseproperty": "warehouse",
    "residentialproperty": "residential",
    "premisesproperty": "premises",
}
"""What an estate is marketed as, to Propstreet's category; anything else has none."""


def property_in(estate_payload: bytes) -> bytes | None:
    """Give the slice of an estate's payload that its property is read from, in the estate's own form.

    None without coordinates. Where the address is hidden it is left out: nobody shall learn the place from us. So is
    what changes without the property, such as the status. Raises UntranslatablePayload.
    """
    estate = decoded(estate_payload, _ESTATE, "vitec property")
    if _location(estate) is None:
        return None
    number = estate.assignment.estatenumber if estate.assignment else None
    base, texts, shown = estate.base_information, estate.description, estate.advertise_on
    if base is not None and hides_address(estate):
        base = msgspec.structs.replace(base, address=None, object_address=None)
    return msgspec.json.encode(
        {
            "estateId": estate.estate_id,
            "dateChanged": estate.date_changed,
            "assignment": {"estatenumber": number},
            "baseInformation": base,
            "description": {"sellingHeading": texts.selling_heading if texts else None},
            "price": estate.price,
            "advertiseOn": {
                "hidePrice": shown.hide_price if shown else None,
                "hideAddress": shown.hide_address if shown else None,
            },
            "marketedAs": estate.marketed_as,
        }
    )


class VitecProperty(UnwritableLens[Estate]):
    """Vitec's property, named as the estate is."""

    category = "property"
    fields = ("name", "location", "categories", "price")
    refusal: ClassVar[str] = "Vitec has no call that changes an estate; change it at Vitec by hand"

    def __init__(self) -> None:
        super().__init__(Estate)

    def translate(self, record: Estate, options: Options) -> Content:
        """Read a decoded slice, as far as it says something; a place or a price that is hidden is empty."""
        place = None if hides_address(record) else _location(record) or UNSET
        fields = carried(name=name_of(record), location=place, price=price_in(record))
        if categories := {CATEGORIES[word] for word in _words(record.marketed_as)}:
            fields["categories"] = tuple(sorted(categories))
        return Content(
            external_id=record.estate_id,
            fields=fields,
            changed=vendor_time(record.date_changed),
            parts={"project": record.estate_id},
        )


def _location(record: Estate) -> str | None:
    place = address_of(record).coordinate or Coordinate()
    return located(place.latitud, place.longitud, "vitec property: coordinate")


def _words(marketed_as: Any) -> Iterator[str]:
    """The known words of `marketedAs`, which is described as a list of words and no more: any form will do."""
    match marketed_as:
        case str():
            words = marketed_as.replace(",", " ").split()
        case list():
            words = [word for word in marketed_as if isinstance(word, str)]
        case dict():
            words = [str(word) for word, is_so in marketed_as.items() if is_so is True]
        case _:
            words = []
    return (word for text in words if (word := text.strip().casefold()) in CATEGORIES)


_ESTATE = msgspec.json.Decoder(Estate)
