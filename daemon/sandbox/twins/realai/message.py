"""The Swedish text that goes to the agent with a lead.

The wiki page Lead gives one example and lists the parts; the wording of the parts that the example lacks is
this project's.
"""

import math
from collections.abc import Iterator
from datetime import date

from daemon.sandbox.twins.realai.lead import Lead
from daemon.sandbox.twins.realai.switches import Switches

NO_BREAK_SPACE = "\u00a0"

_WORDS = {
    "Apartment": ("en", "lägenhet"),
    "SingleFamilyResidence": ("en", "villa"),
    "Townhouse": ("ett", "radhus"),
    "Terraced": ("ett", "kedjehus"),
    "Duplex": ("ett", "parhus"),
}


def message_of(lead: Lead, day: date, switches: Switches) -> str:
    """The text on one line; `day` is the day of the valuation in Sweden."""
    return " ".join(_sentences(lead, day, switches))


def _sentences(lead: Lead, day: date, switches: Switches) -> Iterator[str]:
    yield "Du har fått ett lead från Real AI."
    yield _valued(lead, day, switches)
    if lead.property_sub_type != "Apartment":
        yield from _areas(lead)
    if lead.occupant_type == "TenantOwnership" and lead.association_fee is not None:
        yield f"Månadsavgiften är {_fee(lead.association_fee, switches)} kr."
    if lead.year_built is not None:
        yield f"Byggåret är {_line(lead.year_built)}."
    if switches.rs7 == "sentences":
        yield from (_sentence(said) for said in (lead.qualification, lead.custom_field) if said)


def _valued(lead: Lead, day: date, switches: Switches) -> str:
    article, word = _WORDS[lead.property_sub_type]
    if switches.rs3 == "en":
        article = "en"
    parts = []
    if lead.living_area is not None:
        parts.append(f"{lead.living_area} m² boarea")
    if lead.rooms is not None and (lead.property_sub_type == "Apartment" or switches.rs6 == "included"):
        parts.append(f"{_line(lead.rooms)} rum")
    sized = f" med {' och '.join(parts)}" if parts else ""
    price = _thousands(lead.valuation, switches)
    return (
        f"{_line(lead.first_name)} {_line(lead.last_name)} fick en värdering på {price} kr"
        f" den {day.isoformat()} av {article} {word}{sized}."
    )


def _areas(lead: Lead) -> Iterator[str]:
    match lead.secondary_area, lead.lot_size_area:
        case float(secondary), float(lot):
            yield f"Biarean är {secondary} m² och tomtarean {lot} m²."
        case float(secondary), None:
            yield f"Biarean är {secondary} m²."
        case None, float(lot):
            yield f"Tomtarean är {lot} m²."


def _fee(fee: float, switches: Switches) -> str:
    return str(fee) if switches.rs5 == "decimal" else _thousands(fee, switches)


def _thousands(amount: float, switches: Switches) -> str:
    whole = math.floor(amount + 0.5)  # half a krona counts as one
    return f"{whole:,}".replace(",", NO_BREAK_SPACE if switches.rs4 == "no_break" else " ")


def _sentence(said: str) -> str:
    text = _line(said)
    return text if text[-1] in ".!?" else f"{text}."


def _line(typed: str) -> str:
    """What a person typed, without line breaks and runs of blanks."""
    return " ".join(typed.split())
