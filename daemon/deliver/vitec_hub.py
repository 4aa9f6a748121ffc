"""Writing to Vitec Next (Hub): there is no call for it. What would be sent is held, and never reported as done."""

from daemon.deliver.target import Landed, Met, Moved, Write
from daemon.domain.errors import NotWritable
from daemon.policies.failing import Stuck
from daemon.processor import ONCE_A_DAY, Tenant
from projections.entity import Entity, Pending

NO_CALL = "nothing can be written to Vitec Next (Hub); do it there by hand"


class VitecHubTarget:
    """The Hub, as the deliverer sees it. The mapping holds every field first; this holds what came before it."""

    closed_for = ONCE_A_DAY

    def has_room(self, calls: int) -> bool:
        """Nothing leaves, so there is."""
        return True

    async def look(self, at: Tenant, entity: Entity, pending: Pending) -> Write | Moved | Met | Stuck:
        """Hold whatever was decided, perhaps while the tenant was another product's."""
        return Stuck("not_writable", NO_CALL)

    async def look_up(self, at: Tenant, entity: Entity, pending: Pending) -> Met | Stuck | None:
        """Hold it: an attempt that was made elsewhere cannot be looked for here."""
        return Stuck("not_writable", NO_CALL)

    async def reach(self) -> None:
        """Nothing is ever sent."""

    async def write(self, at: Tenant, entity: Entity, pending: Pending, write: Write) -> Landed:
        """Raise NotWritable."""
        raise NotWritable("Vitec Next (Hub) has no call that writes")
