"""What a lead is to the rest of the daemon, and how one is refused."""

from typing import Literal

from msgspec import Struct

LeadKind = Literal["lead", "interest", "final_price"]
"""A valuation lead (RealAI's Lead API), an interest in an estate, a watch of an estate's final price."""


class FieldError(Struct, frozen=True):
    """A field that is missing or wrong; `loc` begins with "body" or "path", `msg` never holds a value."""

    loc: tuple[str, ...]
    msg: str


class Lead(Struct, frozen=True):
    """A lead as far as anybody but the vendor has to know it.

    `email`, `phone` and `name` are what a contact can be looked for by. `canonical` is the same for two bodies
    exactly when they say the same: order of keys, blanks around texts, 150 or 150.0 or "150", null or absent,
    and fields that nobody knows make no difference.
    """

    kind: LeadKind
    customer_id: str
    estate_id: str | None
    email: str | None
    phone: str | None
    name: str | None
    canonical: bytes


class InvalidLead(Exception):
    """Fields of a lead are missing or wrong; the sender has to mend every one of `errors`."""

    def __init__(self, errors: tuple[FieldError, ...]) -> None:
        super().__init__("; ".join(f"{'.'.join(error.loc)}: {error.msg}" for error in errors))
        self.errors = errors


class NotJson(Exception):
    """The body is no JSON object; the text says why, without any of it."""


class Call(Struct, frozen=True):
    """The request that hands a lead to Vitec; `estate_id` stands in the path of a final-price watch."""

    kind: LeadKind
    estate_id: str | None
    body: bytes


class Unsendable(Struct, frozen=True):
    """A lead that Vitec cannot take: too_long or invalid; `detail` names fields and limits, never values."""

    reason: Literal["too_long", "invalid"]
    detail: str
