"""What a backfill would do, read from the views: the entities that wait, rehearsed page by page."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from daemon.cli.operating import PATIENCE
from daemon.domain.errors import UsageError
from daemon.domain.events import FIRST_SYNC
from daemon.domain.settings import TenantSettings
from daemon.domain.streams import VENDORS
from daemon.mappings import LENSES
from daemon.policies import brakes
from daemon.policies.linking import JOINING
from daemon.policies.plan import Context, direction, synced
from daemon.policies.rehearsing import Rehearsal, Step
from daemon.processor import Tenant, with_catalogue
from daemon.storage import brakes as stored
from daemon.storage import log, views, working
from daemon.storage.connection import Connection, snapshot
from daemon.storage.surroundings import Views, around, kin_of
from daemon.storage.working import source_of
from projections.entities import dormant
from projections.entity import Entity

PAGE: Final = 200

WITH: Final[dict[str, tuple[str, ...]]] = {
    "contact": ("contact", "note"),
    "company": ("company", "link"),
    "project": ("project", "property"),
    "prospect": ("prospect",),
}
"""What is released together: what an operator calls it, and the categories that go with it."""

ORDER: Final = ("contact", "company", "project", "prospect", "link", "property", "note")
"""What is joined before what joins it."""

PROBED: Final = tuple({lens.category for lens in LENSES if lens.probed})


class Prospectus(msgspec.Struct, frozen=True):
    """What a backfill would release, and what would follow. `entities` of other categories are needed to be linked.

    `waiting` is how many entities of each category it releases, `left` how many go on waiting.
    """

    categories: tuple[str, ...]
    entities: tuple[tuple[str, str], ...]
    waiting: dict[str, int]
    left: dict[str, int]
    steps: tuple[Step, ...]

    def writes(self) -> Counter[str]:
        """How many writes would follow, by vendor."""
        return Counter(step.target for step in self.steps if step.do in ("create", "update") and step.target)


def chosen_categories(tenant: TenantSettings, category: str | None) -> tuple[str, ...]:
    """The categories that are released together, of those that are synced; raises UsageError."""
    if category is not None and direction(tenant.sync, category) == "off":
        raise UsageError(f"{category} is not synced by this configuration: nothing of it is released")
    wanted = ORDER if category is None else WITH[category]
    return tuple(each for each in wanted if each in synced(tenant.sync))


async def prospectus(conn: Connection, at: Tenant, category: str | None) -> Prospectus:
    """Rehearse a backfill on the views as they are; raises UsageError where they cannot tell yet."""
    wanted = chosen_categories(at.settings, category)
    await _ready(conn, at, wanted)
    async with snapshot(conn):
        waiting = await views.waiting(conn, at.name)
        if at.settings.sync.first_sync == "now":
            waiting = {}
        mine = {each: waiting[each] for each in wanted if each in waiting}
        left = {each: count for each, count in waiting.items() if each not in mine}
        if not mine:
            return Prospectus(wanted, (), {}, left, ())
        rows = await stored.batches(conn, at.name)
        released = {row.category for row in rows if row.kind == FIRST_SYNC} | set(wanted)
        context = Context(
            at.settings.sync,
            with_catalogue(at.options, _catalogue(at)),
            at.mode,
            (await log.incarnation(conn, at.name)).mark,
            {},
            ready=True,
            refused=await views.refused_fields(conn, at.name, PROBED),
            brakes=brakes.standing(rows),
            released=frozenset(released),
        )
        rehearsal = Rehearsal(at.name, context, await log.head(conn, at.name))
        steps: list[Step] = []
        needed = await _needed(conn, at, mine, released)
        for entity in needed:
            rehearsal.release(entity)
        for page in _pages([entity.id for entity in needed]):
            steps += await _play(conn, at, rehearsal, page)
        for each in mine:
            for page in _pages(await views.dormant(conn, at.name, each)):
                steps += await _play(conn, at, rehearsal, page)
    for entity in needed:
        left[entity.category] -= 1
    names = tuple((entity.category, entity.id) for entity in needed)
    return Prospectus(wanted, names, mine, {k: n for k, n in left.items() if n}, tuple(steps))


async def _play(conn: Connection, at: Tenant, rehearsal: Rehearsal, names: Sequence[str]) -> list[Step]:
    entities = await views.entities(conn, at.name, names)
    stands = await around(Views(conn, at.name), at.options, entities, rehearsal.present)
    steps: list[Step] = []
    for entity in sorted(entities, key=lambda each: each.position):
        steps += rehearsal.play(entity, stands[entity.id].kin, stands[entity.id].candidates)
    return steps


async def _needed(conn: Connection, at: Tenant, mine: dict[str, int], released: set[str]) -> list[Entity]:
    """What records that join others need to be linked, and waits itself: it is released with them, one by one."""
    found: dict[str, Entity] = {}
    for category in (each for each in mine if each in JOINING):
        for page in _pages(await views.dormant(conn, at.name, category)):
            kin = await kin_of(Views(conn, at.name), await views.entities(conn, at.name, page))
            for each in (each for joined in kin.values() for each in joined.values()):
                if dormant(each) and each.category not in released:
                    found[each.id] = each
    return sorted(found.values(), key=lambda each: (ORDER.index(each.category), each.position))


async def _ready(conn: Connection, at: Tenant, wanted: Sequence[str]) -> None:
    """The first polls are over, and the views know what they found; raises UsageError."""
    head, end = await log.head(conn, at.name), asyncio.get_running_loop().time() + PATIENCE
    while await views.position(conn, at.name) < head:
        if asyncio.get_running_loop().time() > end:
            raise UsageError("the views are behind the log; try again in a moment, while the daemon runs")
        await asyncio.sleep(0.1)
    cursors = await working.cursors(conn, at.name)
    sources = sorted({source_of(vendor, category) for vendor in VENDORS for category in wanted})
    missing = [each for each in sources if each not in cursors or not cursors[each].whole()]
    if missing:
        names = ", ".join(missing)
        raise UsageError(f"not everything was read yet ({names}); `toveis status` says when it was")


def _catalogue(at: Tenant) -> tuple[tuple[str, str, bool, str], ...]:
    """Vitec's categories as far as the configuration names them: whether Vitec has them shows when they are written."""
    sync = at.settings.sync
    return tuple(
        (name, name, False, kind)
        for kind, table in (("Person", sync.categories), ("Company", sync.company_categories))
        for name in table
    )


def _pages(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[at : at + PAGE] for at in range(0, len(names), PAGE)]
