"""Vitec Next Hub (Norway): the few calls that public clients of it show.

Records stay the bytes that the vendor sent, since the shape of most of them is unknown. No call for contacts,
companies or prospects, no way to write and no notification is publicly described, so there is none here.
Every method raises the VendorErrors of `daemon.vendors.http`. A 403 is AccessDenied here too, but may concern
only this one function: rights are given per function and per customer, and `methods` tells which are open
(login and rights). A list is a JSON array and nothing else: what an empty one looks like is not stated, and
`null` read as "none" could make every estate look gone.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from datetime import datetime
from math import inf
from typing import Self, TypeVar

import aiohttp
import msgspec

from daemon.domain.errors import NotFound
from daemon.vendors.http import Answer, Endpoint, OnCall, Route, utc_now
from daemon.vendors.limiter import Limiter, Priority

T = TypeVar("T")

METHODS = Route("GET", "/Account/Methods")
DEPARTMENTS = Route("GET", "/{installation}/Departments")
EMPLOYEES = Route("GET", "/{installation}/Employees")
ESTATES = Route("GET", "/{installation}/Estates")
ESTATE = Route("GET", "/{installation}/Estates/{estate}")
CONTACT_RELATIONS = Route("GET", "/{installation}/Estates/{estate}/ContactRelations")

VIEWING_PARTICIPANTS, INTERESTED = 0, 1  # the relation types with a known meaning (calls seen)


class HubEstateReference(msgspec.Struct, frozen=True):
    """A row of the list of estates: `raw` as sent, `changed_at` the vendor's own text in an unstated format.

    `id` is kept letter for letter: upper-case GUIDs are seen, and numbers, and whether case counts is unknown.
    """

    id: str
    changed_at: str
    raw: bytes


class _Named(msgspec.Struct):
    name: str


class _Estate(msgspec.Struct, rename="camel"):
    estate_id: str | int
    changed_date: str | None = None


class _Object(msgspec.Struct):
    """Any JSON object."""


class _Relations(msgspec.Struct):
    contacts: list[msgspec.Raw]


_METHODS = msgspec.json.Decoder(list[str | _Named])
_ROWS = msgspec.json.Decoder(list[msgspec.Raw])
_ROW = msgspec.json.Decoder(_Object)
_ESTATE_ROW = msgspec.json.Decoder(_Estate)
_ESTATE: msgspec.json.Decoder[_Object | None] = msgspec.json.Decoder(_Object | None)
_RELATIONS: msgspec.json.Decoder[_Relations | None] = msgspec.json.Decoder(_Relations | None)


class VitecHubClient:
    """Calls for one installation by HTTP Basic: partner id and partner key. `timeout` is in seconds per call.

    How often the Hub may be called is not known; what it says with a 429 is obeyed (codes and limits).
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        installation: str,
        username: str,
        password: str,
        limiter: Limiter,
        *,
        timeout: float = 30.0,
        clock: Callable[[], datetime] = utc_now,
        on_call: OnCall | None = None,
        left: Callable[[], float] = lambda: inf,
    ) -> None:
        self._endpoint = Endpoint(
            session,
            base_url,
            limiter,
            ask=self.ask,
            timeout=timeout,
            clock=clock,
            on_call=on_call,
            left=left,
        )
        self._installation = installation
        self._headers = {"Authorization": "Basic " + b64encode(f"{username}:{password}".encode()).decode()}

    def at(self, priority: Priority) -> Self:
        """The same client for calls of another priority."""
        other = copy(self)
        other._endpoint = self._endpoint.at(priority)
        return other

    async def reach(self) -> None:
        """Return if the vendor is there as far as is known; raises VendorAway."""
        await self._endpoint.reach()

    async def ask(self) -> None:
        """What is open to this login."""
        await self._call(METHODS)

    def fits(self, priority: Priority, calls: int) -> bool:
        """Whether so many calls of a priority could leave now."""
        return self._endpoint.fits(priority, calls)

    async def methods(self) -> list[str]:
        """The functions that are open to this login (login and rights).

        The call is stated, its answer is not: texts and objects with a `name` are both read.
        """
        found = (await self._call(METHODS)).decoded(_METHODS)
        return [method if isinstance(method, str) else method.name for method in found]

    async def estates(self, changed_after: datetime | None = None) -> list[HubEstateReference]:
        """The installation's estates, or those changed after a time, in no promised order (calls seen).

        The list is stated. The filter stands in one planning text only, as does a ceiling of 10,000 rows: a
        Hub that does not know the filter gives every estate. Whether a list has pages is unknown.
        ValueError on a bare time.
        """
        if changed_after is not None and changed_after.tzinfo is None:
            raise ValueError("a filter needs an aware time")
        query = {} if changed_after is None else {"changedAfter": changed_after.isoformat()}
        answer = await self._call(ESTATES, query=query)
        return [
            HubEstateReference(str(row.estate_id), row.changed_date or "", raw)
            for row, raw in _rows(answer, _ESTATE_ROW)
        ]

    async def estate(self, estate_id: str) -> bytes | None:
        """One estate, a JSON object; None for an id that the Hub does not know.

        Only a part of its fields is stated; one is spelt `streetAdress` (calls seen).
        """
        return await self._record(ESTATE, estate_id, _ESTATE)

    async def contact_relations(self, estate_id: str, relation_type: int) -> bytes | None:
        """`{"contacts": [...]}` of an estate: viewing participants (0) or interested (1); None if it is unknown.

        The shape of the rows and the meaning of other types are unknown (calls seen).
        """
        return await self._record(
            CONTACT_RELATIONS, estate_id, _RELATIONS, {"relationType": str(relation_type)}
        )

    async def departments(self) -> list[bytes]:
        """The offices of the installation, one JSON object each; `departmentId` is a number (calls seen)."""
        return [raw for _, raw in _rows(await self._call(DEPARTMENTS), _ROW)]

    async def employees(self) -> list[bytes]:
        """The brokers of the installation, one JSON object each (calls seen).

        `departmentId` is an array in one client and not in another.
        """
        return [raw for _, raw in _rows(await self._call(EMPLOYEES), _ROW)]

    async def _record(
        self,
        route: Route,
        estate_id: str,
        decoder: msgspec.json.Decoder[T | None],
        query: Mapping[str, str] | None = None,
    ) -> bytes | None:
        try:
            answer = await self._call(route, {"estate": estate_id}, query)
        except NotFound:
            return None
        return None if answer.decoded(decoder) is None else answer.body

    async def _call(
        self,
        route: Route,
        segments: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        whole = {"installation": self._installation, **(segments or {})}
        return await self._endpoint.call(route, segments=whole, query=query, headers=self._headers)


def _rows(answer: Answer, decoder: msgspec.json.Decoder[T]) -> Iterator[tuple[T, bytes]]:
    for raw in answer.decoded(_ROWS):
        try:
            row = decoder.decode(raw)
        except msgspec.DecodeError:
            raise answer.unreadable() from None
        yield row, bytes(raw)
