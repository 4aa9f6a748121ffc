"""What each product of Vitec lets us do with each category. The table tells the operator, and the daemon obeys it."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from daemon.domain.settings import Product, TenantSettings


class Capability(msgspec.Struct, frozen=True):
    """Whether a category can be read and written at Vitec, and `why` not, or how far."""

    read: Literal["yes", "not_readable"]
    write: Literal["yes", "not_writable"]
    why: str


READ_ONLY: Final = ("yes", "not_writable")
NOTHING: Final = ("not_readable", "not_writable")

NO_UPLOAD: Final = "no documented upload at Propstreet"
"""Why no picture goes there (I3)."""

NOT_AT_THE_HUB: Final = "not available for Vitec Next (Hub)"
"""Nothing public describes it, so it is neither read nor written."""

_CONNECT: Final[Mapping[str, Capability]] = {
    "contact": Capability("yes", "yes", "persons, both ways"),
    "company": Capability("yes", "yes", "both ways"),
    "project": Capability(
        "yes",
        "yes",
        "the name of a multi-unit project, and its status where that is switched on; nothing of an estate",
    ),
    "prospect": Capability("yes", "yes", "the level of interest, as far as Vitec takes it"),
    "link": Capability(*READ_ONLY, "Vitec has no call for who belongs to a company"),
    "note": Capability("yes", "yes", "notes are added; none is changed or removed"),
    "property": Capability(*READ_ONLY, "Vitec has no call that changes an estate"),
    "lead": Capability("not_readable", "yes", "a lead is sent once, and cannot be looked up at Vitec"),
    "picture": Capability(*NOTHING, f"not available at Vitec Connect; {NO_UPLOAD}"),
}

_HUB: Final[Mapping[str, Capability]] = {
    **dict.fromkeys(_CONNECT, Capability(*NOTHING, NOT_AT_THE_HUB)),
    "project": Capability(
        *READ_ONLY,
        "an estate's address or number, and that it is sold; Vitec Next (Hub) has no call to write",
    ),
    "prospect": Capability(
        *NOTHING, f"{NOT_AT_THE_HUB}: the rows that tell who is interested are not described"
    ),
    "picture": Capability(*NOTHING, f"{NOT_AT_THE_HUB}; {NO_UPLOAD}"),
}

CAPABILITIES: Final[Mapping[Product, Mapping[str, Capability]]] = {"connect": _CONNECT, "hub": _HUB}
"""By product and category: the seven of the sync, leads and pictures."""

_SWITCHES: Final = {
    "contact": "contacts",
    "company": "companies",
    "project": "projects",
    "prospect": "prospects",
}
"""Category to its direction in [tenants.sync]; links, notes and properties go where these go."""


def available(tenant: TenantSettings) -> TenantSettings:
    """The settings without what the tenant's product cannot do: such a category is off, whatever was asked for.

    The Hub sends no notification that anybody describes, so none is accepted for it.
    """
    table = CAPABILITIES[tenant.vitec.product]
    off = {name: "off" for category, name in _SWITCHES.items() if table[category].read != "yes"}
    vitec = tenant.vitec
    if vitec.product == "hub":
        vitec = msgspec.structs.replace(vitec, webhook_secret=None)
    return msgspec.structs.replace(tenant, vitec=vitec, sync=msgspec.structs.replace(tenant.sync, **off))
