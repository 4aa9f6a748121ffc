"""The Swedish text that a broker reads about a valuation lead.

RealAI's page Lead names the parts and their order and prints one example, a villa's. The article before the other
types, and the words for rooms and fee, follow Swedish grammar and the example.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from daemon.mappings.leads.realai import Property, PropertyType, Valuation

_SWEDEN: Final = ZoneInfo("Europe/Stockholm")

_WORDS: Final[Mapping[PropertyType, str]] = {
    "Apartment": "en lägenhet",
    "SingleFamilyResidence": "en villa",
    "Townhouse": "ett radhus",
    "Terraced": "ett kedjehus",
    "Duplex": "ett parhus",
}


def message_of(lead: Valuation, received: datetime) -> str:
    """Write the text, on one line; the valuation's date is the Swedish day of `received` (aware)."""
    person, home = lead.person, lead.property
    sentences = (
        "Du har fått ett lead från Real AI.",
        f"{person.first_name} {person.last_name} fick en värdering på {_kronor(home.valuation)}"
        f" den {received.astimezone(_SWEDEN).date()} av {_WORDS[home.property_sub_type]}{_size(home)}.",
        _areas(home),
        _fee(home),
        home.year_built and f"Byggåret är {home.year_built}.",
        person.qualification and _sentence(person.qualification),
        person.custom_field and _sentence(person.custom_field),
    )
    # What people typed may hold line breaks and runs of blanks.
    return " ".join(" ".join(filter(None, sentences)).split())


def _size(home: Property) -> str:
    area = None if home.living_area is None else f"{_square_metres(home.living_area)} boarea"
    parts = filter(None, (area, home.rooms and f"{home.rooms} rum"))
    size = " och ".join(parts)
    return f" med {size}" if size else ""


def _areas(home: Property) -> str | None:
    """Secondary area and lot, which only houses have."""
    if home.property_sub_type == "Apartment":
        return None
    secondary, lot = home.secondary_area, home.lot_size_area
    if secondary is None:
        return None if lot is None else f"Tomtarean är {_square_metres(lot)}."
    and_lot = "" if lot is None else f" och tomtarean {_square_metres(lot)}"
    return f"Biarean är {_square_metres(secondary)}{and_lot}."


def _fee(home: Property) -> str | None:
    if home.occupant_type != "TenantOwnership" or home.association_fee is None:
        return None
    return f"Månadsavgiften är {_kronor(home.association_fee)}."


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _kronor(amount: float) -> str:
    """Whole kronor, a blank between thousands: 5 500 000 kr; half a krona counts as one."""
    return f"{int(amount + 0.5):,} kr".replace(",", " ")


def _square_metres(area: float) -> str:
    """A number with a point and at least one decimal: 150.0 m², 62.5 m²; never with an exponent."""
    return f"{Decimal(repr(area)):f} m²"
