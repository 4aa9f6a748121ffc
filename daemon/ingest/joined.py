"""Rounds of what hangs on contacts and companies, and moves no date there: who belongs to which company, and notes."""

from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from daemon.domain.errors import NotFound
from daemon.domain.settings import Limits
from daemon.domain.streams import PROPSTREET, VITEC, record_stream
from daemon.ingest.removals import removed
from daemon.ingest.rounds import Rounds
from daemon.mappings import propstreet_note
from daemon.mappings.vitec_link import links_in
from daemon.processor import ONCE_A_DAY, Tenant
from daemon.storage import views
from daemon.storage.appender import Item
from daemon.storage.connection import Connection
from daemon.storage.views import Owner, Typed
from daemon.storage.working import Cursor, source_of
from daemon.vendors.limiter import Priority
from daemon.vendors.propstreet.client import PropstreetClient
from daemon.vendors.vitec_connect.client import VitecConnectClient
from daemon.vendors.vitec_connect.joined import is_own_note, notes_of
from projections.entities import part_key

NOTED: Final = ("contact", "company", "prospect")


class VitecRounds(Rounds[Typed]):
    """Rounds of the linked contacts or companies at Vitec: after each change, and once in a while."""

    closed_for = ONCE_A_DAY
    calls = 1
    """How many calls it takes to look at one."""

    def __init__(
        self, tenant: Tenant, client: VitecConnectClient, category: str, of: tuple[str, ...]
    ) -> None:
        every = tenant.settings.vitec.poll_interval
        super().__init__(tenant, source_of(VITEC, category), VITEC, every=every)
        self._client = client.at(Priority.AUDIT)
        self._of = of

    @property
    def limits(self) -> Limits:
        """Vitec's."""
        return self.at.settings.vitec.limits

    async def due(self, conn: Connection, audited: datetime) -> list[Typed]:
        """Those that were read since they were looked at, and those that nobody looked at for long."""
        return await views.owners_to_look_at(conn, self.tenant, self._of, VITEC, self.source, audited)

    async def look(self, cursor: Cursor, each: Typed) -> int:
        """Read what hangs on one, and append it."""
        await self.at.appender.append(await self.joining(cursor, each))
        await self.looked(each.external_id)
        return self.calls

    @abstractmethod
    async def joining(self, cursor: Cursor, each: Typed) -> list[Item]:
        """What hangs on one: what is there, and what we knew and is gone."""

    async def told(
        self, cursor: Cursor, category: str, key: str, found: Mapping[str, bytes], started: int
    ) -> list[Item]:
        """What one answer says of a record; what we knew and it lacks is gone, but for a contact's own note."""
        async with self.at.connection() as conn:
            known = await views.joined_records(conn, self.tenant, category, VITEC, key)
        items: list[Item] = [
            self.read(cursor, category, record, payload, started) for record, payload in found.items()
        ]
        items += [
            removed(self.at, record_stream(category, VITEC, record), VITEC, str(started))
            for record in known
            if record not in found and not is_own_note(record)
        ]
        return items


class VitecLinkPoller(VitecRounds):
    """Who belongs to a company: the company's relations tell (K1 to K6)."""

    def __init__(self, tenant: Tenant, client: VitecConnectClient) -> None:
        super().__init__(tenant, client, "link", ("company",))

    async def joining(self, cursor: Cursor, each: Typed) -> list[Item]:
        """Read a company's relations; a link that we knew and that is not among them is gone."""
        company, started = each.external_id, self.at.appender.head
        payload = await self._client.relations(company)
        found = dict(links_in(company, payload, self.at.options)) if payload is not None else {}
        return await self.told(cursor, "link", part_key("company", company), found, started)


class VitecNotePoller(VitecRounds):
    """The note log of a contact, and its own note where that is one of many (N2, N3, N10)."""

    calls = 2

    def __init__(self, tenant: Tenant, client: VitecConnectClient) -> None:
        super().__init__(tenant, client, "note", ("contact", "company"))

    async def joining(self, cursor: Cursor, each: Typed) -> list[Item]:
        """Read all notes of a contact; there is no filter by date. A note of its log that we knew and that is missing
        is gone. The contact's own note has no id that could be missing."""
        contact, started = each.external_id, self.at.appender.head
        found = await notes_of(self._client, contact, each.kind, self.at.options)
        return await self.told(cursor, "note", part_key("contact", contact), found, started)


class PropstreetNotePoller(Rounds[Owner]):
    """The notes among the actions of linked contacts, companies and prospects: no webhook tells of them (N17)."""

    def __init__(self, tenant: Tenant, client: PropstreetClient) -> None:
        every = tenant.settings.propstreet.poll_interval
        super().__init__(tenant, source_of(PROPSTREET, "note"), PROPSTREET, every=every)
        self._client = client.at(Priority.AUDIT)

    @property
    def limits(self) -> Limits:
        """Propstreet's."""
        return self.at.settings.propstreet.limits

    async def due(self, conn: Connection, audited: datetime) -> list[Owner]:
        """All of them, the longest unlooked at first."""
        return await views.owners_of_notes(conn, self.tenant, NOTED, PROPSTREET, self.source)

    async def look(self, cursor: Cursor, each: Owner) -> int:
        """Read the notes of one record, and append them."""
        await self.at.appender.append(await self.notes(cursor, each))
        await self.looked(f"{each.category}:{each.external_id}")
        return 1

    async def notes(self, cursor: Cursor, each: Owner) -> list[Item]:
        """The notes of one record; none of one that is gone."""
        parent = each.parts.get("project") if each.category == "prospect" else None
        started = self.at.appender.head
        try:
            rows = await self._client.notes(each.category, each.external_id, parent=parent)
        except NotFound:
            rows = []
        owners = {each.category: each.external_id, **each.parts}
        return [
            self.read(cursor, "note", row.id, propstreet_note.note_of(row.raw, **owners), started)
            for row in rows
        ]
