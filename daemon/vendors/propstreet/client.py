"""Propstreet's Public API: the calls that the sync needs.

A record is named by its category (contact, company, link, project, prospect, property) and its id; a prospect by
its project too, the `parent`. Records stay the bytes that the vendor sent. Every method raises the VendorErrors of
`daemon.vendors.http`, and ValueError where `daemon.vendors.propstreet.places` knows no such call.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from datetime import UTC, datetime
from math import inf
from typing import Literal, Self
from uuid import uuid4

import aiohttp
import msgspec

from daemon.domain.errors import AccessDenied, NotFound, Rejected
from daemon.domain.settings import Secret
from daemon.vendors.http import Answer, Endpoint, Intent, OnCall, Route, utc_now
from daemon.vendors.limiter import Limiter, Priority
from daemon.vendors.propstreet.notes import NoteRow, newest_first, note_body, notes_among
from daemon.vendors.propstreet.places import list_of, noted_record_of, record_of, reference_of
from daemon.vendors.propstreet.token import TokenSource

Action = Literal["created", "updated", "revived"]

WEBHOOKS = Route("GET", "/api/v1/webhooks")
REGISTER_WEBHOOK = Route("POST", "/api/v1/webhooks", "create")
CHANGE_WEBHOOK = Route("PATCH", "/api/v1/webhooks/{id}", "write")
CHANGE_WEBHOOK_BY_PUT = Route("PUT", "/api/v1/webhooks/{id}", "write")
DELETE_WEBHOOK = Route("DELETE", "/api/v1/webhooks/{id}", "write")
TEST_WEBHOOK = Route("POST", "/api/v1/webhooks/{id}/test", "write")
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


class Tested(msgspec.Struct, frozen=True):
    """What came of a test delivery, as Propstreet saw it; `status_code` is None when nobody answered."""

    success: bool
    status_code: int | None = None
    error: str | None = None


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
_TESTED = msgspec.json.Decoder(Tested, strict=False)
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
        self._tokens = TokenSource(self._endpoint, client_id, client_secret, clock=clock)
        self._clock = clock

    async def reach(self) -> None:
        """Return if the vendor is there as far as is known; raises VendorAway."""
        await self._endpoint.reach()

    async def ask(self) -> None:
        """What the polls ask for: who changed just now."""
        now = self._clock().astimezone(UTC).isoformat().replace("+00:00", "Z")
        await self.page("contact", updated_since=now, cursor=None, page_size=1)

    def at(self, priority: Priority) -> Self:
        """The same client, with the same token, for calls of another priority."""
        other = copy(self)
        other._endpoint = self._endpoint.at(priority)
        return other

    def fits(self, priority: Priority, calls: int) -> bool:
        """Whether so many calls of a priority could leave now."""
        return self._endpoint.fits(priority, calls)

    async def page(
        self,
        category: str,
        *,
        updated_since: str | None,
        cursor: str | None,
        page_size: int = 500,
        parent: str | None = None,
    ) -> Page:
        """One page of a list, deleted rows included, oldest change first (conventions, lists).

        `updated_since` is inclusive and the vendor's own text of a time; it is repeated with every cursor.
        """
        query = {"include_deleted": "true", "page_size": str(page_size)}
        if updated_since is not None:
            query["updated_since"] = updated_since
        if cursor is not None:
            query["cursor"] = cursor
        records = list_of(category, parent)
        return _page(await self._call(records.route("GET"), records.segments, query=query))

    async def read(self, category: str, external_id: str, *, parent: str | None = None) -> bytes:
        """One record. NotFound when the vendor has none of that id."""
        record = record_of(category, external_id, parent)
        return _record(await self._call(record.route("GET"), record.segments))

    async def by_reference(
        self, category: str, namespace: str, external_id: str, *, parent: str | None = None
    ) -> bytes | None:
        """The record with this external reference, None without one (external references).

        A contact, company, project or prospect. None for a prospect can also mean that its project is gone.
        """
        place = reference_of(category, namespace, external_id, parent)
        try:
            return _record(await self._call(place.route("GET"), place.segments))
        except NotFound:
            return None

    async def patch(
        self,
        category: str,
        external_id: str,
        body: Mapping[str, object],
        etag: str | None,
        *,
        parent: str | None = None,
    ) -> bytes:
        """Changes the fields in the body, null clears; returns the record as it then is (PATCH meaning).

        With an etag, Stale means that somebody edited first: 412 or 409 (P2).
        """
        record = record_of(category, external_id, parent)
        intent, headers = _condition(etag)
        route = record.route("PATCH", intent)
        return _record(await self._call(route, record.segments, headers=headers, body=body))

    async def create(
        self,
        category: str,
        body: Mapping[str, object],
        *,
        reference: tuple[str, str] | None,
        key: str,
        parent: str | None = None,
    ) -> Created:
        """Creates a record; `reference` is (namespace, id), `key` the Idempotency-Key.

        A contact with a reference goes through the upsert by reference, which never makes a second one and is
        told not to revive a deleted one (D5). Everything else is a POST. Raises Duplicate (D4), also for somebody
        who is a prospect of the project already; ValueError for a link with a reference: links have none.
        """
        headers = {"Idempotency-Key": key}
        if category == "contact" and reference is not None:
            place = reference_of(category, *reference, parent)
            route, query = place.route("PATCH", "create"), {"revive": "false"}
            answer = await self._call(route, place.segments, query=query, headers=headers, body=body)
        elif category == "link" and reference is not None:
            raise ValueError("a link has no external references")
        else:
            place = list_of(category, parent)
            whole = _with_reference(body, reference)
            answer = await self._call(
                place.route("POST", "create"), place.segments, headers=headers, body=whole
            )
        return Created(_record(answer), _action(answer))

    async def delete(
        self, category: str, external_id: str, etag: str | None, *, parent: str | None = None
    ) -> None:
        """Deletes a record softly. NotFound when it is gone already; Stale as in `patch`."""
        record = record_of(category, external_id, parent)
        intent, headers = _condition(etag)
        await self._call(record.route("DELETE", intent), record.segments, headers=headers)

    async def remove_prospect(self, project: str, prospect: str) -> None:
        """Takes a prospect off its project; the vendor keeps its history (prospect writes).

        Doing it again is harmless. NotFound when the prospect or its project is not there.
        """
        place = record_of("prospect", prospect, project).below("/remove")
        # A new key each time: an old one would replay the old answer after somebody has undone the removal.
        headers = {"Idempotency-Key": uuid4().hex}
        await self._call(place.route("POST", "write"), place.segments, headers=headers)

    async def notes(self, category: str, external_id: str, *, parent: str | None = None) -> list[NoteRow]:
        """All notes of a contact, a company or a prospect, newest first (notes and actions).

        NotFound when the record is gone.
        """
        actions = noted_record_of(category, external_id, parent).below("/actions")
        found: list[NoteRow] = []
        cursor: str | None = None
        followed: set[str] = set()
        while True:
            query = {"type": "notes"} | ({"cursor": cursor} if cursor else {})
            answer = await self._call(actions.route("GET"), actions.segments, query=query)
            page = _page(answer)
            try:
                found += notes_among(page.rows)
            except msgspec.DecodeError:
                raise answer.unreadable() from None
            if page.next_cursor is None:
                return newest_first(found)
            if page.next_cursor in followed:
                raise answer.unreadable()  # following it would never end
            followed.add(page.next_cursor)
            cursor = page.next_cursor

    async def add_note(
        self,
        category: str,
        external_id: str,
        text: str,
        *,
        key: str,
        kind: str = "note",
        parent: str | None = None,
    ) -> None:
        """Adds a note to a contact, a company or a prospect; the vendor tells no id (notes and actions).

        `kind` is note, call, meeting, email or news, and has no place in a prospect's note. `key` is the
        Idempotency-Key: with the same one the vendor makes no second note. UnknownOutcome without an answer.
        """
        place = noted_record_of(category, external_id, parent).below("/notes")
        headers = {"Idempotency-Key": key}
        body = note_body(category, text, kind)
        await self._call(place.route("POST", "write"), place.segments, headers=headers, body=body)

    async def webhooks(self) -> list[Webhook]:
        """The subscriptions of this client registration; the answer is a bare list or a page of them."""
        match (await self._call(WEBHOOKS)).decoded(_WEBHOOKS):
            case _Webhooks(data=found):
                return found
            case found:
                return found

    async def register_webhook(self, url: str, events: Sequence[str], name: str) -> tuple[str, Secret]:
        """Subscribes an address to events by name; returns (id, secret), the secret only this once."""
        body = {"url": url, "events": list(events), "name": name}
        headers = {"Idempotency-Key": uuid4().hex}
        registered = (await self._call(REGISTER_WEBHOOK, headers=headers, body=body)).decoded(_REGISTERED)
        return str(registered.id), Secret(registered.secret)

    async def enable_webhook(self, webhook_id: str) -> None:
        """Switches a disabled subscription on again; only the list tells whether it worked (PS14)."""
        await self._change_webhook(webhook_id, {"isActive": True})

    async def subscribe_webhook(self, webhook_id: str, events: Sequence[str]) -> None:
        """Gives a subscription these events; only the list tells whether it worked (PS14)."""
        await self._change_webhook(webhook_id, {"events": list(events)})

    async def _change_webhook(self, webhook_id: str, changes: Mapping[str, object]) -> None:
        """The verb is undocumented: PATCH, else PUT."""
        try:
            await self._call(CHANGE_WEBHOOK, {"id": webhook_id}, body=changes)
        except Rejected as refusal:
            if refusal.status != 405:
                raise
            await self._call(CHANGE_WEBHOOK_BY_PUT, {"id": webhook_id}, body=changes)

    async def delete_webhook(self, webhook_id: str) -> None:
        """Removes a subscription."""
        await self._call(DELETE_WEBHOOK, {"id": webhook_id})

    async def test_webhook(self, webhook_id: str, event: str) -> Tested:
        """Has a test delivery of an event sent to a subscription at once, and tells what came of it."""
        return (await self._call(TEST_WEBHOOK, {"id": webhook_id}, body={"event_type": event})).decoded(
            _TESTED
        )

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


def _condition(etag: str | None) -> tuple[Intent, dict[str, str]]:
    return ("write", {}) if etag is None else ("conditional", {"If-Match": etag})


def _page(answer: Answer) -> Page:
    envelope = answer.decoded(_PAGE)
    place = envelope.page or envelope
    if place.has_more and not place.next_cursor:
        raise answer.unreadable()  # ending here would lose the rest without a sign
    following = None if place.has_more is False else place.next_cursor or None
    return Page([bytes(row) for row in envelope.data], following)


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
