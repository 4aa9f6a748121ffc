"""What all calls share: reading a request, answering it, one contact or several by id."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import web

from daemon.sandbox.twins.vitec_connect.contacts import moment
from daemon.sandbox.twins.vitec_connect.office import UNKNOWN_CONTACT, Change, Office
from daemon.sandbox.twins.vitec_connect.switches import Switches
from daemon.sandbox.twins.vitec_connect.writing import INVALID, RefusedError

Answer = tuple[Change, web.Response]
Work = Callable[[web.Request, object], Answer]
Handler = Callable[[web.Request], Awaitable[web.Response]]
Read = Callable[[str], Any]  # by a contact's id: None when there is no such contact
BATCH, IN_PATH = 20, 5


def write(office: Office, work: Work) -> Handler:
    """A handler that reads the body, does the work and puts it into the journal."""

    async def handler(request: web.Request) -> web.Response:
        change, response = work(request, await body_of(request))
        office.journal_api(request.method, route_of(request), response.status, change)
        return response

    return handler


def no_content() -> web.Response:
    """204."""
    return web.Response(status=204)


def by_path(text: str, read: Read, switches: Switches) -> web.Response:
    """One contact by its id in the path, or an array for a few ids with commas (VS21, VS26)."""
    ids = ids_of(text)
    if "," in text:
        if len(ids) > IN_PATH and switches.vs26 == "400":
            raise RefusedError(400)
        return batch(ids, read, switches)
    found = read(text)
    if found is not None:
        return json_answer(found)
    match switches.vs21:
        case "204":
            return no_content()
        case "null":
            return json_answer(None)
        case _:
            raise RefusedError(404, UNKNOWN_CONTACT)


def batch(ids: list[str], read: Read, switches: Switches) -> web.Response:
    """An array for at most 20 ids (VS21, VS26)."""
    if not ids or (len(ids) > BATCH and switches.vs26 == "400"):
        raise RefusedError(400)
    if switches.vs26 == "first_20":
        ids = ids[:BATCH]
    found = [read(contact_id) for contact_id in ids]
    if None in found and switches.vs21 == "404":
        raise RefusedError(404, UNKNOWN_CONTACT)
    return json_answer([row for row in found if row is not None])


def route_of(request: web.Request) -> str:
    """The route without ids and query, as the journal keeps it."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else request.path


def json_answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    body = msgspec.json.encode(value)
    return web.Response(
        status=status, body=body, content_type="application/json", charset="utf-8", headers=headers
    )


async def body_of(request: web.Request) -> object:
    """The JSON of a body, None for DELETE. Raises RefusedError when it does not parse."""
    if request.method == "DELETE":
        return None
    try:
        return msgspec.json.decode(await request.read())
    except msgspec.DecodeError as broken:
        raise RefusedError(400, INVALID) from broken


def query_of(request: web.Request) -> dict[str, str]:
    """The query by lower-case name; a name that comes several times is joined with commas."""
    found: dict[str, str] = {}
    for name, value in request.query.items():
        low = name.lower()
        found[low] = f"{found[low]},{value}" if low in found else value
    return found


def ids_of(text: str) -> list[str]:
    """The ids between commas, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def time_of(text: str | None) -> datetime | None:
    """A filter's time, None when it is not given. Raises RefusedError."""
    try:
        return moment(text) if text else None
    except (ValueError, TypeError) as broken:
        raise RefusedError(400) from broken


def within(at: datetime, span: tuple[datetime | None, datetime | None]) -> bool:
    """Whether a time lies in a span whose ends count; None is open."""
    start, end = span
    return (start is None or start <= at) and (end is None or at <= end)
