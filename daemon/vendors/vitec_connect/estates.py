"""Vitec Connect's estates and projects: what changed, the full v1 records, the names of the statuses."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from daemon.vendors.http import Answer, Route
from daemon.vendors.vitec_connect.office import Office

LIST = Route("POST", "/Estate/GetEstateList")
READ = Route("GET", "/Estate/Get{kind}")
STATUSES = Route("POST", "/Estate/GetStatuses")
UPDATE_PROJECT = Route("PUT", "/CRM/Project/{customer}/{project}", "write")

# A kind, spelt as notifications and reads spell it, and its list in the answer (estates, list).
LISTS: Mapping[str, str] = {
    "House": "houses",
    "HousingCooperative": "housingCooperativeses",
    "Cottage": "cottages",
    "Plot": "plots",
    "Project": "projects",
    "Farm": "farms",
    "CommercialProperty": "commercialPropertys",
    "Condominium": "condominiums",
    "ForeignProperty": "foreignProperties",
    "Premises": "premises",
}
# What is spelt otherwise when it is asked for.
ASKED: Mapping[str, str] = {"ForeignProperty": "Foreignproperty"}


class EstateReference(msgspec.Struct, frozen=True):
    """An estate or project of the list; `kind` is a key of LISTS.

    `changed_at` is the vendor's own text, bare Swedish wall-clock time, or "" where it gives none. `status_id` is
    the id of `statuses`.
    """

    id: str
    kind: str
    changed_at: str
    status_id: str | None


class _Status(msgspec.Struct):
    id: str | int | None = None
    name: str | None = None


class _Row(msgspec.Struct, rename="camel"):
    id: str | int
    date_changed: str | None = None
    status: _Status | None = None

    def of(self, kind: str) -> EstateReference:
        status = self.status.id if self.status else None
        changed_at = self.date_changed or ""
        return EstateReference(str(self.id), kind, changed_at, None if status is None else str(status))


_OFFICES: msgspec.json.Decoder[list[dict[str, msgspec.Raw]] | None] = msgspec.json.Decoder(
    list[dict[str, msgspec.Raw]] | None
)
_ROWS: msgspec.json.Decoder[list[_Row | None] | None] = msgspec.json.Decoder(list[_Row | None] | None)
_ESTATE: msgspec.json.Decoder[dict[str, msgspec.Raw] | None] = msgspec.json.Decoder(
    dict[str, msgspec.Raw] | None
)
_STATUSES: msgspec.json.Decoder[list[_Status] | None] = msgspec.json.Decoder(list[_Status] | None)


class EstateCalls(Office):
    """The calls for estates, projects among them."""

    async def estates(self, since: datetime | None, kinds: Sequence[str]) -> list[EstateReference]:
        """The estates of these kinds changed since then, or all of them, in the order of `kinds` (estates, list).

        One list without pages, in no promised order. The filter carries its offset, because a bare time would be
        read as Swedish (dates): ValueError on one, and on a kind that is none. Enums leave by name: numbers of
        look-alike enums differ. No kinds need no call, since an empty filter would mean every kind.
        """
        if since is not None and since.tzinfo is None:
            raise ValueError("a filter needs an aware time")
        if unknown := set(kinds) - set(LISTS):
            raise ValueError(f"no kinds of estates: {', '.join(sorted(unknown))}")
        if not kinds:
            return []
        criteria: dict[str, object] = {
            "customerId": self._customer,
            "type": [ASKED.get(kind, kind) for kind in kinds],
            "typeOfDate": "None",
        }
        if since is not None:
            criteria |= {"typeOfDate": "DateChanged", "dateFrom": since.isoformat()}
        answer = await self._call(LIST, body=criteria)
        offices = answer.decoded(_OFFICES) or ()
        return [row for kind in kinds for office in offices for row in _references(answer, office, kind)]

    async def estate(self, kind: str, estate_id: str) -> bytes | None:
        """One estate's v1 record, past viewings included; None for an id that the vendor does not know (VS21)."""
        named = "projectId" if kind == "Project" else "estateId"  # VS29
        query = {named: estate_id, "customerId": self._customer}
        answer = await self._found(READ, {"kind": kind}, query=query)
        return None if answer is None or answer.decoded(_ESTATE) is None else answer.body

    async def statuses(self) -> list[tuple[str, str]]:
        """Statuses as (id, name), the name in Swedish: a record holds these, not an enum's name (S33, VS28)."""
        answer = await self._call(STATUSES, query={"customerId": self._customer})
        rows = answer.decoded(_STATUSES) or ()
        return [(str(row.id), row.name or "") for row in rows if row.id is not None]

    async def update_project(self, project_id: str, body: Mapping[str, object]) -> None:
        """Writes a project's name, status or texts; no other estate can be written (estates, writing)."""
        await self._send(UPDATE_PROJECT, {"project": project_id}, body=body)


def _references(answer: Answer, office: Mapping[str, msgspec.Raw], kind: str) -> Iterator[EstateReference]:
    if (listed := office.get(LISTS[kind])) is None:
        return
    try:
        rows = _ROWS.decode(listed)
    except msgspec.DecodeError:
        raise answer.unreadable() from None
    yield from (row.of(kind) for row in rows or () if row is not None)
