"""Prices and places: the vendors' numbers to our canonical text, and back."""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct, UnsetType

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.fields import UNMAPPED, Value, location_of, number, plain_number, price_of
from daemon.mappings.lens import Hold

Number = int | float | str | None
"""A number as the vendors print it: now and then as a text."""

SCALES: Mapping[str | None, Decimal] = {
    None: Decimal(1),
    "none": Decimal(1),
    "thousands": Decimal(10**3),
    "millions": Decimal(10**6),
    "billions": Decimal(10**9),
}


class Price(Struct, frozen=True):
    """A price at Propstreet: the amount is value times scale."""

    value: Number = None
    currency: str | None = None
    scale: str | None = None


def amount(value: Number | UnsetType, place: str) -> Decimal | None:
    """Give a number, None when there is none; raises UntranslatablePayload, which names the place only."""
    text = "" if value is None or isinstance(value, UnsetType) else str(value).strip()
    if not text:
        return None
    found = number(text)
    if found is None:
        raise UntranslatablePayload(f"{place}: no number")
    return found


def priced(price: Price, place: str) -> Value:
    """Give Propstreet's price as text, None when it is empty, UNMAPPED and the word for an unknown scale."""
    value = amount(price.value, place)
    if value is None:
        return None
    scale = SCALES.get(price.scale)
    if scale is None:
        return f"{UNMAPPED}{price.scale}"
    return f"{plain_number(value * scale)} {(price.currency or '').strip().upper()}".strip()


def price_put(value: Value) -> dict[str, object] | None:
    """Give Propstreet's price for a text that `price_problem` let through; None clears it."""
    if not isinstance(value, str):
        return None
    digits, _, currency = (price_of(value) or value).partition(" ")
    return {"value": _plain(digits), "currency": currency, "scale": "none"}


def price_problem(value: Value) -> Hold | None:
    """Hold what is no amount with a currency (ISO 4217)."""
    canonical = price_of(value) if isinstance(value, str) else None
    if value is None or (canonical and len(canonical.partition(" ")[2]) == 3):
        return None
    return Hold("price", "invalid", "a price is an amount and a currency of three letters; correct it there")


def located(latitude: Number | UnsetType, longitude: Number | UnsetType, place: str) -> str | None:
    """Give "latitude,longitude", None where one is missing, both are zero, or they are no place on earth."""
    found = [amount(degrees, place) for degrees in (latitude, longitude)]
    degrees = [str(value) for value in found if value is not None]
    return location_of(*degrees) if len(degrees) == 2 and any(found) else None


def location_put(value: str) -> dict[str, object]:
    """Give Propstreet's location for a text that is one."""
    latitude, _, longitude = value.partition(",")
    return {"latitude": _plain(latitude), "longitude": _plain(longitude)}


def _plain(digits: str) -> int | float:
    return float(digits) if "." in digits else int(digits)
