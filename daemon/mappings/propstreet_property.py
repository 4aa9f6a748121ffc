"""A Propstreet property (vendors: properties: POST properties, model Property). Optional."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from daemon.domain.fields import Value, location_of, normal
from daemon.mappings.amounts import Number, Price, located, location_put, price_problem, price_put, priced
from daemon.mappings.lens import RECORD, Hold, Options, Seen, Text, carried
from daemon.mappings.propstreet import PropstreetLens, Resource


class Location(Struct, frozen=True):
    """Where it is, in degrees (WGS 84)."""

    latitude: Number = None
    longitude: Number = None


class Property(Resource, frozen=True, rename="camel"):
    """The mapped part of a property's payload."""

    name: Text = UNSET
    location: Location | UnsetType | None = UNSET
    categories: tuple[str, ...] | UnsetType | None = UNSET
    price: Price | UnsetType | None = UNSET


class PropstreetProperty(PropstreetLens[Property]):
    """Propstreet's property."""

    category = "property"
    fields = ("name", "location", "categories", "price")
    limits: ClassVar[Mapping[str, int]] = {"name": 200, "reference": 255}
    names: ClassVar[Mapping[str, str]] = {
        "name": "name",
        "location": "location",
        "categories": "categories",
        "price": "price",
    }

    def __init__(self) -> None:
        super().__init__(Property)

    def read(self, record: Property, options: Options) -> dict[str, Value]:
        """Give the fields that the payload carries."""
        fields = carried(name=record.name)
        if record.location is not UNSET:
            place = record.location or Location()
            fields["location"] = located(place.latitude, place.longitude, "propstreet property: location")
        if record.categories is not UNSET:
            fields["categories"] = tuple(sorted(record.categories or ()))
        if record.price is not UNSET:
            fields["price"] = priced(record.price or Price(), "propstreet property: price")
        return fields

    def sent(self, field: str, value: Value, options: Options) -> Value:
        """Give categories as a sorted list, and all else as every resource does."""
        if field != "categories":
            return super().sent(field, value, options)
        return normal("tags", value)

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold an empty name, and a price or a place that is none."""
        match field:
            case "name" if value is None:
                return Hold(field, "cannot_clear", "a property must have a name; give one at Vitec")
            case "location" if isinstance(value, str) and location_of(*value.split(",")) is None:
                return Hold(field, "invalid", "this is no place; correct the coordinates at Vitec")
            case "price":
                return price_problem(value)
        return super().check(field, value, seen, options)

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a property without a name (POST properties asks for it), or without a place (section 18)."""
        if "name" not in takes:
            return Hold(RECORD, "needs_name", "a property needs a name; give one at Vitec")
        if "location" not in takes:
            return Hold(
                RECORD, "invalid", "a property whose place is hidden is not made; show its address at Vitec"
            )
        return None

    def body(self, field: str, value: Value) -> object:
        """Give the JSON of a value: price and location are objects."""
        match field:
            case "price":
                return price_put(value)
            case "location":
                return location_put(value) if isinstance(value, str) else None
            case "categories":
                return list(value or ())
        return value
