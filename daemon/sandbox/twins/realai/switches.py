"""Where RealAI's word is missing or disagrees with itself, a switch says what the twin does."""

from dataclasses import dataclass
from typing import Literal

Revision = Literal["2026-01-27", "2026-05-27"]


@dataclass(slots=True)
class Switches:
    """One field per open point of the vendor contract; they may be turned while the twin runs."""

    rs1: Revision = "2026-01-27"  # which fields are necessary; newer ones are always read
    rs2: Literal["all", "/lead-sources", "/lead_sources", "/lead"] = "all"  # paths of the lead sources
    rs3: Literal["ett", "en"] = "ett"  # article before radhus, kedjehus and parhus
    rs4: Literal["space", "no_break"] = "space"  # between thousands: U+0020 or U+00A0
    rs5: Literal["whole", "decimal"] = "whole"  # fee as 3 500 kr or 3500.0 kr
    rs6: Literal["included", "left_out"] = "included"  # rooms of a house
    rs7: Literal["sentences", "left_out"] = "sentences"  # qualification and custom_field in the message
    rs8: Literal["fixed", "lead_id"] = "fixed"  # `message` of the answer
    rs9: Literal["422", "400"] = "422"  # a body that is not valid: `detail` list, or one line of text
    rs10: Literal["open", "bearer"] = "open"  # login
    unknown_customer: Literal["empty", "404"] = "empty"  # lead sources of a customer that is not configured
