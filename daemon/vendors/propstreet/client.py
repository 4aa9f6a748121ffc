"""Propstreet's Public API: the calls that the sync of contacts and companies needs.

Records stay the bytes that the vendor sent. Every method raises the VendorErrors of `daemon.vendors.http`.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Literal, Self
from uuid import uuid4

import aiohttp
import msgspec

from daemon.domain.errors import AccessDenied, NotFound, Rejected
from daemon.vendors.http import Answer, Endpoint, OnCall, Route, utc_now
from daemon.vendors.limiter import Limiter, Priority
from daemon.vendors.propstreet.token import TokenSource

Action = Literal["created", "updated", "revived"]

# A route's {records} is one of these.
RECORDS: Mapping[str, str] = {"contact": "contacts", "company": "companies"}

PAGE = Route("GET", "/api/v1/network/{records}")
READ = Route("GET", "/api/v1/network/{records}/{id}")
BY_REFERENCE = Route("GET", "/api/v1/network/{records}/external/{namespace}/{id}")
CREATE = Route("POST", "/api/v1/network/{records}", "create")
CREATE_BY_REFERENCE = Route("PATCH", "/api/v1/network/{records}/external/{namespace}/{id}", "create")
PATCH = Route("PATCH", "/api/v1/network/{records}/{id}", "write")
PATCH_IF_MATCH = Route("PATCH", "/api/v1/network/{records}/{id}", "conditional")
DELETE = Route("DELETE", "/api/v1/network/{records}/{id}", "write")
DELETE_IF_MATCH = Route("DELETE", "/api/v1/network/{records}/{id}", "conditional")

WEBHOOKS = Route("GET", "/api/v1/webhooks")
REGISTER_WEBHOOK = Route("POST", "/api/v1/webhooks", "create")
ENABLE_WEBHOOK = Route("PATCH", "/api/v1/webhooks/{id}", "write")
ENABLE_WEBHOOK_BY_PUT = Route("PUT", "/api/v1/webhooks/{id}", "write")
DELETE_WEBHOOK = Route("DELETE", "/api/v1/webhooks/{id}", "write")
REPLAY_WEBHOOK = Route("POST", "/api/v1/webhooks/{id}/replay", "write")


class Page(msgspec.Struct, frozen=True):
    """Rows of a list, each a record's JSON; the cursor of the next page, None after the last."""

    rows: list[bytes]
    next_cursor: str | None


class Created(msgspec.Struct, frozen=True):
    """The record after a create, and what the vendor says it did: it may have met one that was there."""

    payload: bytes
    action: Action


class Webhook(msgspec.Struct, frozen=True, rename="camel"):
    """A subscription. `is_active` and `consecutive_failures` are None where the vendor does not tell."""

    id: str | int
    url: str
    events: tuple[str, ...] = ()
    name: str | None = None
    is_active: bool | None = None
    consecutive_failures: int | None = None


class _Cursor(msgspec.Struct, rename="camel"):
    next_cursor: str | None = None
    has_more: bool | None = None


class _Envelope(_Cursor, rename="camel", kw_only=True):
    """The cursor stands under `page`, or at the top level (P5)."""

    data: list[msgspec.Raw]
    page: _Cursor | None = None


class _Registered(msgspec.Struct):
    id: str | int
    secret: str


class _Webhooks(msgspec.Struct):
    data: list[Webhook]


class _Replayed(msgspec.Struct):
    replayed_count: int


# Not strict: what the schema calls a number may come as a string (PS10).
_PAGE = msgspec.json.Decoder(_Envelope, strict=False)
_RECORD = msgspec.json.Decoder(dict[str, msgspec.Raw])
_WEBHOOKS: msgspec.json.Decoder[list[Webhook] | _Webhooks] = msgspec.json.Decoder(
    list[Webhook] | _Webhooks, strict=False
)
_REGISTERED = msgspec.json.Decoder(_Registered, strict=False)
_REPLAYED = msgspec.json.Decoder(_Replayed, strict=False)


class PropstreetClient:
    """Calls for one client registration; `base_url` is the vendor's host, `timeout` seconds per call."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        client_id: str,
        client_secret: str,
        limiter: Limiter,
        *,
        timeout: float = 30.0,
        clock: Callable[[], datetime] = utc_now,
        on_call: OnCall | None = None,
    ) -> None:
        self._endpoint = Endpoint(session, base_url, limiter, timeout=timeout, clock=clock, on_call=on_call)
        self._tokens = TokenSource(self._endpoint, client_id, client_secret, clock=clock)

    def at(self, priority: Priority) -> Self:
        """The same client, with the same token, for calls of another priority."""
        other = copy(self)
        other._endpoint = self._endpoint.at(priority)
        return other

    async def page(
        self, category: str, *, updated_since: str | None, cursor: str | None, page_size: int = 500
    ) -> Page:
        """One page of a list, deleted rows included, oldest change first (conventions, lists).

        `updated_since` is inclusive and the vendor's own text of a time; it is repeated with every cursor.
        """
        query = {"include_deleted": "true", "page_size": str(page_size)}
        if updated_since is not None:
            query["updated_since"] = updated_since
        if cursor is not None:
            query["cursor"] = cursor
        answer = await self._call(PAGE, {"records": RECORDS[category]}, query=query)
        envelope = answer.decoded(_PAGE)
        place = envelope.page or envelope
        if place.has_more and not place.next_cursor:
            raise answer.unreadable()  # ending here would lose the rest without a sign
        following = None if place.has_more is False else place.next_cursor or None
        return Page([bytes(row) for row in envelope.data], following)

    async def read(self, category: str, external_id: str) -> bytes:
        """One record. NotFound when the vendor has none of that id."""
        return _record(await self._call(READ, _named(category, external_id)))

    async def by_reference(self, category: str, namespace: str, external_id: str) -> bytes | None:
        """The record with this external reference, None without one (external references)."""
        try:
            return _record(
                await self._call(BY_REFERENCE, _named(category, external_id) | {"namespace": namespace})
            )
        except NotFound:
            return None

    async def patch(
        self, category: str, external_id: str, body: Mapping[str, object], etag: str | None
    ) -> bytes:
        """Changes the fields in the body, null clears; returns the record as it then is (PATCH meaning).

        With an etag, Stale means that somebody edited first: 412 or 409 (P2).
        """
        if etag is None:
            return _record(await self._call(PATCH, _named(category, external_id), body=body))
        headers = {"If-Match": etag}
        return _record(
            await self._call(PATCH_IF_MATCH, _named(category, external_id), headers=headers, body=body)
        )

    async def create(
        self,
        category: str,
        body: Mapping[str, object],
        *,
        reference: tuple[str, str] | None,
        key: str,
    ) -> Created:
        """Creates a record; `reference` is (namespace, id), `key` the Idempotency-Key.

        A contact with a reference goes through the upsert by reference, which never makes a second one and is
        told not to revive a deleted one (D5). Everything else is a POST. Raises Duplicate (D4).
        """
        headers = {"Idempotency-Key": key}
        if category == "contact" and reference is not None:
            segments = _named(category, reference[1]) | {"namespace": reference[0]}
            query = {"revive": "false"}
            answer = await self._call(CREATE_BY_REFERENCE, segments, query=query, headers=headers, body=body)
        else:
            whole = _with_reference(body, reference)
            answer = await self._call(CREATE, {"records": RECORDS[category]}, headers=headers, body=whole)
        return Created(_record(answer), _action(answer))

    async def delete(self, category: str, external_id: str, etag: str | None) -> None:
        """Deletes a record softly. NotFound when it is gone already; Stale as in `patch`."""
        if etag is None:
            await self._call(DELETE, _named(category, external_id))
        else:
            await self._call(DELETE_IF_MATCH, _named(category, external_id), headers={"If-Match": etag})

    async def webhooks(self) -> list[Webhook]:
        """The subscriptions of this client registration; the answer is a bare list or a page of them."""
        match (await self._call(WEBHOOKS)).decoded(_WEBHOOKS):
            case _Webhooks(data=found):
                return found
            case found:
                return found

    async def register_webhook(self, url: str, events: Sequence[str], name: str) -> tuple[str, str]:
        """Subscribes an address to events by name; returns (id, secret), the secret only this once."""
        body = {"url": url, "events": list(events), "name": name}
        headers = {"Idempotency-Key": uuid4().hex}
        registered = (await self._call(REGISTER_WEBHOOK, headers=headers, body=body)).decoded(_REGISTERED)
        return str(registered.id), registered.secret

    async def enable_webhook(self, webhook_id: str) -> None:
        """Switches a disabled subscription on again. The verb is undocumented: PATCH, else PUT."""
        try:
            await self._call(ENABLE_WEBHOOK, {"id": webhook_id}, body={"isActive": True})
        except Rejected as refusal:
            if refusal.status != 405:
                raise
            await self._call(ENABLE_WEBHOOK_BY_PUT, {"id": webhook_id}, body={"isActive": True})

    async def delete_webhook(self, webhook_id: str) -> None:
        """Removes a subscription."""
        await self._call(DELETE_WEBHOOK, {"id": webhook_id})

    async def replay_webhook(self, webhook_id: str, since: str) -> int:
        """Queues up to 100 failed deliveries since then again and tells how many: call until it is 0."""
        headers = {"Idempotency-Key": uuid4().hex}
        answer = await self._call(REPLAY_WEBHOOK, {"id": webhook_id}, headers=headers, body={"since": since})
        return answer.decoded(_REPLAYED).replayed_count

    async def _call(
        self,
        route: Route,
        segments: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: object = None,
    ) -> Answer:
        """One call with the token; a 401 changed nothing, so it is tried once more with a fresh one."""

        async def send(token: str) -> Answer:
            bearing = {**(headers or {}), "Authorization": f"Bearer {token}"}
            return await self._endpoint.call(
                route, segments=segments, query=query, headers=bearing, body=body
            )

        token = await self._tokens.current()
        try:
            return await send(token)
        except AccessDenied as denied:
            if denied.status != 401:
                raise
        return await send(await self._tokens.current(refused=token))


def _named(category: str, external_id: str) -> dict[str, str]:
    return {"records": RECORDS[category], "id": external_id}


def _record(answer: Answer) -> bytes:
    answer.decoded(_RECORD)  # an object, or no answer
    return answer.body


def _action(answer: Answer) -> Action:
    match answer.headers.get("X-Propstreet-Upsert-Action", "").lower():
        case "created" | "updated" | "revived" as said:
            return said
    return "created" if answer.status == 201 else "updated"


def _with_reference(body: Mapping[str, object], reference: tuple[str, str] | None) -> Mapping[str, object]:
    """The body with the reference among its own, so that a POST never makes a record we cannot find again."""
    if reference is None:
        return body
    entry = {"namespace": reference[0], "id": reference[1]}
    match body.get("externalRefs"):
        case [*others] if entry in others:
            return body
        case [*others]:
            return {**body, "externalRefs": [*others, entry]}
    return {**body, "externalRefs": [entry]}
