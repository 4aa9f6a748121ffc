"""The twin itself: POST /lead and the lead sources, in front of a Vitec that it calls as the service does.

Sources: the wiki page Lead; for the calls to Vitec the pages CRM/Lead and Service/Contact/Lead/Person. That the
service makes those calls is inferred. It knows no idempotency: the same lead twice is two leads.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from daemon.sandbox.twins.faults import Faults
from daemon.sandbox.twins.realai.lead import InvalidLeadError, Lead, Problem, read_lead
from daemon.sandbox.twins.realai.message import message_of
from daemon.sandbox.twins.realai.switches import Switches

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

SWEDEN = ZoneInfo("Europe/Stockholm")
ANSWERED = "Response from Vitec API"  # the wiki's own sample
SOURCES = ("/lead-sources", "/lead_sources", "/lead")
_SESSION = web.AppKey("session", aiohttp.ClientSession)


class RefusedError(Exception):
    """A call that is answered with `{"status": "ERROR", "message": ...}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class RealAiTwin:
    """A stand-in for the RealAI Lead service, with its API on `app`, before the Vitec at `vitec_url`.

    `username` and `password` are the service's own login at Vitec, `customers` the Vitec customers that it
    gives lead sources of, `token` what RS10 asks callers for. `received` keeps every body that passed the
    login, valid or not; one that is no JSON as text. `switches` and `faults` may be turned at any time.
    """

    def __init__(
        self,
        vitec_url: str,
        switches: Switches | None = None,
        *,
        seed: int = 0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        username: str = "toveis",
        password: str = "twin-password",
        customers: Collection[str] = ("M11385",),
        token: str = "twin-token",
    ) -> None:
        self.vitec_url = vitec_url.rstrip("/")
        self.switches = switches or Switches()
        self.clock = clock
        self.customers = tuple(customers)
        self.token = token
        self.received: list[Any] = []
        self.faults = Faults(seed=seed, failure=_failure)
        pair = b64encode(f"{username}:{password}".encode()).decode()
        self._login = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}

    @property
    def app(self) -> web.Application:
        """A fresh application: it may be served, stopped and served again."""
        app = web.Application(middlewares=[self.faults.middleware, self._words, self._gate])
        app.cleanup_ctx.append(_session)
        app.router.add_post("/lead", self.lead)
        for path in SOURCES:
            app.router.add_get(path, self.sources)
        return app

    # --- the calls

    async def lead(self, request: web.Request) -> web.Response:
        """POST /lead: the lead and its message go to Vitec, whose refusal is a 502 in Vitec's words."""
        lead = read_lead(await self._body(request), self.switches.rs1)
        message = message_of(lead, self.clock().astimezone(SWEDEN).date(), self.switches)
        path = f"/Service/Contact/{quote(lead.customer_id, safe='')}/Lead/Person"
        lead_id = await self._vitec(request, "POST", path, _person(lead, message))
        told = lead_id if self.switches.rs8 == "lead_id" and isinstance(lead_id, str) else ANSWERED
        return _json({"status": "OK", "message": told})

    async def sources(self, request: web.Request) -> web.Response:
        """GET lead sources: of one customer, or of all that are configured."""
        if self.switches.rs2 not in ("all", request.path):
            return web.Response(status=404)
        asked = request.query.get("customer_id")
        if asked is not None and asked not in self.customers:
            if self.switches.unknown_customer == "404":
                raise RefusedError(404, "Unknown customer")
            return _json([])
        found: list[dict[str, Any]] = []
        for customer in self.customers if asked is None else [asked]:
            rows = await self._vitec(request, "GET", f"/CRM/Lead/{quote(customer, safe='')}/LeadSources")
            found += [{"id": row["id"], "name": row["name"]} for row in rows or ()]
        return _json(found)

    # --- around every call

    @web.middleware
    async def _words(self, request: web.Request, handler: Next) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refused:
            return _error(refused.status, refused.message)
        except InvalidLeadError as invalid:
            return self._invalid(invalid.problems)

    @web.middleware
    async def _gate(self, request: web.Request, handler: Next) -> web.StreamResponse:
        if self.switches.rs10 == "bearer" and request.headers.get("Authorization") != f"Bearer {self.token}":
            raise RefusedError(401, "Unauthorized")
        return await handler(request)

    def _invalid(self, problems: Collection[Problem]) -> web.Response:
        if self.switches.rs9 == "422":
            return _json({"detail": [{"loc": list(path), "msg": words} for path, words in problems]}, 422)
        return _error(400, "; ".join(f"{'.'.join(path[1:] or path)}: {words}" for path, words in problems))

    # --- inside

    async def _body(self, request: web.Request) -> object:
        sent = await request.read()
        try:
            body = msgspec.json.decode(sent)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.received.append(sent.decode(errors="replace"))
            raise InvalidLeadError((("body",), "value is not valid JSON")) from None
        self.received.append(body)
        return body

    async def _vitec(self, request: web.Request, method: str, path: str, body: object = None) -> Any:
        """What Vitec answers, or None for an empty answer. Raises RefusedError with 502 for a failure."""
        url = URL(self.vitec_url + path, encoded=True)
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with request.app[_SESSION].request(method, url, data=data, headers=self._login) as answer:
                status, said = answer.status, await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            raise RefusedError(502, "No answer from Vitec") from None
        if status >= 300:
            raise RefusedError(502, _told(said))
        try:
            return msgspec.json.decode(said) if said else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RefusedError(502, "Unreadable answer from Vitec") from None


async def _session(app: web.Application) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        app[_SESSION] = session
        yield


def _person(lead: Lead, message: str) -> dict[str, Any]:
    """The body of Vitec's Lead/Person."""
    address = {"streetAddress": lead.address, "zipCode": lead.zip_code, "city": lead.city}
    return {
        "typeId": lead.lead_id,
        "message": message,
        "firstName": lead.first_name,
        "lastName": lead.last_name,
        "telephone": {"cell": lead.phone},
        "email": {"emailAddress": lead.email},
        "address": {name: value for name, value in address.items() if value is not None},
    }


def _told(said: bytes) -> str:
    """Vitec's own words: the `message` of its error body, else all that it said."""
    try:
        match msgspec.json.decode(said):
            case {"message": str(message)}:
                return message
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    return said.decode(errors="replace")


def _failure(status: int, headers: Mapping[str, str]) -> web.StreamResponse:
    return _error(status, "Internal error", headers)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return _json({"status": "ERROR", "message": message}, status, headers)


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    body = msgspec.json.encode(value)
    return web.Response(
        status=status, body=body, content_type="application/json", charset="utf-8", headers=headers
    )
