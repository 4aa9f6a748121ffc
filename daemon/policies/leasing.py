"""Which daemon runs which tenant's stages: everybody who looks at the same rows comes to the same answer."""

from collections import Counter
from collections.abc import Collection, Mapping
from uuid import UUID

import msgspec


class Moves(msgspec.Struct, frozen=True):
    """What one daemon does now: leases that it takes, and those that it hands over to a poorer one."""

    take: tuple[str, ...] = ()
    give: tuple[str, ...] = ()


def share(me: UUID, holders: Mapping[str, UUID], living: Mapping[UUID, Collection[str]]) -> Moves:
    """Share the tenants evenly among the daemons that live.

    `holders` says who has a lease that is not over, `living` whom each daemon would serve. What is free goes to
    whoever has least. Of what is held no more moves than makes the shares even: a difference of one stays.
    """
    counts = Counter(holders.values())
    wanted = sorted({tenant for tenants in living.values() for tenant in tenants})

    def poorest(tenant: str) -> UUID | None:
        serving = [daemon for daemon, tenants in living.items() if tenant in tenants]
        return min(serving, key=lambda daemon: (counts[daemon], daemon), default=None)

    take, give = [], []
    for tenant in wanted:
        if tenant not in holders and (heir := poorest(tenant)) is not None:
            counts[heir] += 1
            if heir == me:
                take.append(tenant)
    for tenant in reversed(wanted):
        heir = poorest(tenant)
        if holders.get(tenant) == me and heir is not None and counts[heir] + 1 < counts[me]:
            counts[heir] += 1
            counts[me] -= 1
            give.append(tenant)
    return Moves(tuple(take), tuple(give))
