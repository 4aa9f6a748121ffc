"""Who is interested in an estate: Vitec tells it by contact, so an estate's list leads to the contacts' own rows."""

from daemon.domain.errors import UntranslatablePayload
from daemon.domain.streams import VITEC, relation_id
from daemon.mappings.vitec_relation import relations_in
from daemon.processor import Tenant
from daemon.storage import views
from daemon.vendors.vitec_connect.client import VitecConnectClient
from daemon.vendors.vitec_connect.joined import relations_of


async def relations_of_estate(
    at: Tenant, client: VitecConnectClient, estate: str, payload: bytes
) -> dict[str, bytes | None]:
    """Every relation of an estate by contact: those that it lists, and those that we knew; None for one that is gone.

    Speculators and buyers are read in batches of 20, as few as the list allows.
    """
    try:
        listed = relations_in(payload)
    except UntranslatablePayload:
        return {}
    async with at.connection() as conn:
        known = await views.joined_records(conn, at.name, "prospect", VITEC, f"part:project:{estate}")
    before = [record.removeprefix(relation_id(estate, "")) for record in known]
    seen = set(listed.participants) if at.options.viewing_means_interested else set()
    contacts = list(dict.fromkeys((*listed.interests, *listed.buyers, *before, *sorted(seen))))
    found = await relations_of(client, [(estate, each) for each in contacts], viewing={estate: seen})
    return {
        each: found[estate, each]
        for each in contacts
        if (estate, each) in found and (found[estate, each] is not None or each in before)
    }
