"""What every call to Vitec Connect shares: the customer, the credentials of its group, records in batches."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from itertools import islice
from math import inf
from typing import Self

import aiohttp
import msgspec

from daemon.domain.errors import NotFound
from daemon.vendors.http import Answer, Endpoint, OnCall, Route, utc_now
from daemon.vendors.limiter import Limiter, Priority

# A {kind} is a kind of contact, or what a contact is to estates: Speculator, Buyer.
READ = Route("GET", "/CRM/Contact/{customer}/{kind}")
READ_ONE = Route("GET", "/CRM/Contact/{customer}/{kind}/{contact}")
CHANGED = Route("GET", "/CRM/Contact/{customer}")

# Function groups (hosts, login, rights): contacts, speculators, notes and categories are in the first; the others
# are told by the start of their routes.
CRM_CONTACT = "CRM-Contact"
FUNCTION_GROUPS: Mapping[str, str] = {
    "/Advertising/": "Advertising",
    "/CRM/Lead/": "CRM-Lead",
    "/CRM/Project/": "CRM-Project",
    "/Estate/": "Estate",
    "/Interest/": "Interest",
    "/Service/": "Service",
}

BATCH = 20  # the most ids in one read (calls used by this product)


class _Identified(msgspec.Struct):
    id: str


_RECORD: msgspec.json.Decoder[_Identified | None] = msgspec.json.Decoder(_Identified | None)
_RECORDS: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)
_ID: msgspec.json.Decoder[str | int | None] = msgspec.json.Decoder(str | int | None)
_ANYTHING = msgspec.json.Decoder(msgspec.Raw)


class Office:
    """One customer of the vendor, an office. `timeout` is in seconds per call.

    `credentials` holds (user name, password) by function group; a group without a pair of its own uses the one
    pair. Which groups the calls of Estate and Interest are in is not known: the names `Estate` and `Interest`
    are ours, for the day somebody has to give them a pair.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        customer_id: str,
        username: str,
        password: str,
        limiter: Limiter,
        *,
        credentials: Mapping[str, tuple[str, str]] | None = None,
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
        self._clock = clock
        self._customer = customer_id
        self._shared = _basic(username, password)
        self._own = {group: _basic(*pair) for group, pair in (credentials or {}).items()}

    def at(self, priority: Priority) -> Self:
        """The same client for calls of another priority."""
        other = copy(self)
        other._endpoint = self._endpoint.at(priority)
        return other

    async def reach(self) -> None:
        """Return if the vendor is there as far as is known; raises VendorAway."""
        await self._endpoint.reach()

    async def ask(self) -> None:
        """What the polls ask for: who changed just now."""
        await self._call(CHANGED, query={"ChangedAtFrom": self._clock().isoformat()})

    def fits(self, priority: Priority, calls: int) -> bool:
        """Whether so many calls of a priority could leave now."""
        return self._endpoint.fits(priority, calls)

    async def _read(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        """Records by contact id, in batches of 20; an id that the vendor does not know is absent."""
        found: dict[str, bytes] = {}
        for batch in _batches(ids):
            found |= await self._read_batch(kind, batch)
        return found

    async def _read_batch(self, kind: str, ids: Sequence[str]) -> dict[str, bytes]:
        try:
            answer = await self._call(READ, {"kind": kind}, query={"contactIds": ",".join(ids)})
            rows = answer.decoded(_RECORDS)
        except NotFound:
            rows = None
        if rows is None:  # one unknown id may hide the others (VS21)
            singles = {contact: await self._read_one(kind, contact) for contact in ids}
            return {contact: record for contact, record in singles.items() if record is not None}
        return dict(_by_id(answer, rows))

    async def _read_one(self, kind: str, contact_id: str) -> bytes | None:
        answer = await self._found(READ_ONE, {"kind": kind, "contact": contact_id})
        return None if answer is None or answer.decoded(_RECORD) is None else answer.body

    async def _found(
        self,
        route: Route,
        segments: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> Answer | None:
        """The answer, or None for a 404. An unknown id may also come as 204 or `null` (VS21): `null` here."""
        try:
            return await self._call(route, segments, query=query)
        except NotFound:
            return None

    async def _send(self, route: Route, segments: Mapping[str, str] | None = None, *, body: object) -> None:
        """A write that the vendor answers with nothing. Text that is no JSON is not the vendor's word (VS36)."""
        answer = await self._call(route, segments, body=body)
        if answer.body.strip():
            answer.decoded(_ANYTHING)

    async def _call(
        self,
        route: Route,
        segments: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        whole = {"customer": self._customer, **(segments or {})}
        headers = {"Authorization": self._own.get(function_group(route), self._shared)}
        return await self._endpoint.call(route, segments=whole, query=query, headers=headers, body=body)


def function_group(route: Route) -> str:
    """The group of calls that a route belongs to; each may have a password of its own."""
    starts = FUNCTION_GROUPS.items()
    return next((group for start, group in starts if route.template.startswith(start)), CRM_CONTACT)


def named(answer: Answer) -> str | None:
    """The id that an answer is; None for `null` or 204. A blank one says nothing: unreadable."""
    said = answer.decoded(_ID)
    if said is None:
        return None
    if text := str(said).strip():
        return text
    raise answer.unreadable()


def _basic(username: str, password: str) -> str:
    return "Basic " + b64encode(f"{username}:{password}".encode()).decode()


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    unique = iter(dict.fromkeys(ids))
    while batch := list(islice(unique, BATCH)):
        yield batch


def _by_id(answer: Answer, rows: Sequence[msgspec.Raw]) -> Iterator[tuple[str, bytes]]:
    for row in rows:
        try:
            record = _RECORD.decode(row)
        except msgspec.DecodeError:
            raise answer.unreadable() from None
        if record is not None:
            yield record.id, bytes(row)
