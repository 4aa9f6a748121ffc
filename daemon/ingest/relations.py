"""Who is interested in an estate: Vitec tells it by contact, so an estate's list leads to the contacts' own rows."""

from collections.abc import Iterable

import msgspec

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.events import CONTACT_GONE, NOT_FOUND
from daemon.domain.streams import VITEC, record_stream, relation_id
from daemon.ingest.removals import removed
from daemon.mappings.vitec_relation import relations_in
from daemon.processor import Tenant
from daemon.storage import views
from daemon.storage.appender import Item
from daemon.vendors.vitec_connect.client import VitecConnectClient
from daemon.vendors.vitec_connect.joined import relations_of


class EstateRelations(msgspec.Struct, frozen=True):
    """By contact: the relations that are there, and of those that we knew and are gone, why."""

    present: dict[str, bytes]
    gone: dict[str, str]


async def relations_of_estate(
    at: Tenant, client: VitecConnectClient, estate: str, payload: bytes
) -> EstateRelations:
    """Every relation of an estate by contact: those that it lists, and those that we knew.

    Speculators and buyers are read in batches of 20, as few as the list allows.
    """
    try:
        listed = relations_in(payload)
    except UntranslatablePayload:
        return EstateRelations({}, {})
    async with at.connection() as conn:
        known = await views.joined_records(conn, at.name, "prospect", VITEC, f"part:project:{estate}")
    before = [record.removeprefix(relation_id(estate, "")) for record in known]
    seen = set(listed.participants) if at.options.viewing_means_interested else set()
    contacts = list(dict.fromkeys((*listed.interests, *listed.buyers, *before, *sorted(seen))))
    read = await relations_of(client, [(estate, each) for each in contacts], viewing={estate: seen})
    found = {contact: relation for (_, contact), relation in read.found.items()}
    gone = {each for each in before if each in found and found[each] is None}
    return EstateRelations(
        {each: relation for each, relation in found.items() if relation is not None},
        {each: CONTACT_GONE if each in read.unknown else NOT_FOUND for each in gone},
    )


async def contacts_gone(
    at: Tenant, client: VitecConnectClient, contacts: Iterable[str], mark: str
) -> list[Item]:
    """The removals of contacts that Vitec's relations do not know: each is asked for alone before it counts as gone.

    No list of changes tells of a removal, and whoever joined the contact waits to learn whether it was merged.
    """
    names = sorted(set(contacts))
    found: list[Item] = []
    for category, kind in (("contact", "Person"), ("company", "Company")):
        async with at.connection() as conn:
            known = await views.kinds(conn, at.name, category, VITEC, names)
        for contact in known:
            if await client.read_one(kind, contact) is None:  # type: ignore[arg-type]  # a Kind
                stream = record_stream(category, VITEC, contact)
                found.append(removed(at, stream, VITEC, mark))
    return found
