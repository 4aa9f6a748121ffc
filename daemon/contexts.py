"""What deciding needs besides the entity, gathered from the views: by the reactor, and by whoever rehearses what it
would decide."""

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from daemon.mappings import LENSES
from daemon.policies.brakes import Brakes
from daemon.policies.plan import Context
from daemon.processor import Tenant
from daemon.storage import views
from daemon.storage.surroundings import Views, around
from daemon.storage.working import Cursor, source_of
from projections.entity import Entity

PROBED = tuple({lens.category for lens in LENSES if lens.probed})


class Frame(msgspec.Struct, frozen=True):
    """What is the same for all entities that are decided together.

    `ready` are the categories whose first polls are complete, `polled` has, by source, the log's head when the last
    complete poll but one was sent; of `released` categories an operator let go what only the first polls saw.
    """

    incarnation: UUID
    ready: frozenset[str]
    polled: Mapping[str, int]
    brakes: Brakes
    cursors: Mapping[str, Cursor]
    released: frozenset[str] = frozenset()


async def contexts(at: Tenant, known: Views, entities: Sequence[Entity], frame: Frame) -> dict[str, Context]:
    """The context of each entity."""
    since = await known.read_since(entities, frame.cursors)
    stands = await around(known, at.options, entities)
    probed = any(entity.category in PROBED for entity in entities)
    refused = await views.refused_fields(known.conn, at.name, PROBED) if probed else frozenset()
    return {
        entity.id: Context(
            sync=at.settings.sync,
            options=at.options,
            mode=at.mode,
            incarnation=frame.incarnation,
            read_since=since[entity.id],
            ready=entity.category in frame.ready,
            candidates=stands[entity.id].candidates,
            kin=stands[entity.id].kin,
            refused=refused,
            heir=stands[entity.id].heir,
            polled={v: frame.polled.get(source_of(v, entity.category), -1) for v in entity.sides},
            brakes=frame.brakes,
            released=frame.released,
        )
        for entity in entities
    }
