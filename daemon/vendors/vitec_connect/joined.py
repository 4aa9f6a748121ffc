"""Relations as records: Vitec tells of them by contact, so several answers are put together into one."""

from collections.abc import Collection, Iterable, Mapping

from daemon.mappings.vitec_relation import relation_of
from daemon.vendors.vitec_connect.client import VitecConnectClient

Pair = tuple[str, str]
"""An estate's id and a contact's."""


async def relations_of(
    client: VitecConnectClient, pairs: Iterable[Pair], viewing: Mapping[str, Collection[str]] | None = None
) -> dict[Pair, bytes | None]:
    """The present relation of each pair; None where there is none. Reads speculators and buyers in batches of 20.

    `viewing` has, by estate, who came to a viewing, where that counts (R6).
    """
    pairs = list(pairs)
    contacts = list(dict.fromkeys(contact for _, contact in pairs))
    if not contacts:
        return {}
    speculators, buyers = await client.speculators(contacts), await client.buyers(contacts)
    return {
        (estate, contact): relation_of(
            estate,
            contact,
            speculators.get(contact),
            buyers.get(contact),
            viewing=contact in (viewing or {}).get(estate, ()),
        )
        for estate, contact in pairs
    }
