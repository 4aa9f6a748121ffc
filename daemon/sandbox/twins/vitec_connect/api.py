"""The calls of Vitec Connect as an aiohttp application: login, closed customers, limits, errors, the journal.

Sources: Vitec's page TechnicalInformation for login and errors; the calls stand in modules of their own.
"""

import base64
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.journal import Entry
from daemon.sandbox.twins.server import RateLimit, Window, date_by
from daemon.sandbox.twins.vitec_connect.calls import json_answer, query_of, route_of
from daemon.sandbox.twins.vitec_connect.contact_calls import ContactCalls
from daemon.sandbox.twins.vitec_connect.estate_calls import EstateCalls
from daemon.sandbox.twins.vitec_connect.lead_calls import LeadCalls
from daemon.sandbox.twins.vitec_connect.lead_desk import LeadDesk
from daemon.sandbox.twins.vitec_connect.relation_calls import RelationCalls
from daemon.sandbox.twins.vitec_connect.writing import RefusedError

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]
_READ_BY_POST = ("/Contacts/Get", "/Estate/Get")
# Which groups hold the calls of Estate and Interest no page says; each has its own here.
_GROUP_OF = {
    "/Service/": "Service",
    "/Advertising/": "Advertising",
    "/Estate/": "Estate",
    "/Interest/": "Interest",
    "/CRM/Lead/": "CRM-Lead",
    "/CRM/Project/": "CRM-Project",
}


class Api:
    """The routes over one twin, with login, closed customers, limits and the error bodies."""

    def __init__(self, twin: LeadDesk) -> None:
        self.twin = twin
        self.limits = RateLimit(
            Window(20, 1, sliding=True), Window(600, 60, sliding=True), Window(10_800, 3600, sliding=True)
        )

    def application(self) -> web.Application:
        """A fresh application; several may live one after the other."""
        app = web.Application(middlewares=[self.twin.faults.middleware, self._words, self._gate])
        date_by(app, lambda: self.twin.clock())
        for calls in (RelationCalls, EstateCalls, LeadCalls, ContactCalls):
            app.add_routes(calls(self.twin).routes())
        return app

    # --- around every call

    @web.middleware
    async def _words(self, request: web.Request, handler: Next) -> web.StreamResponse:
        path = route_of(request)
        reads = request.method == "GET" or path.startswith(_READ_BY_POST)
        if reads:
            now = self.twin.clock()
            self.twin.journal.append(Entry(now, "api", "read", request.method, path, "contact", "", 200))
        try:
            return await handler(request)
        except RefusedError as refused:
            if not reads:
                self.twin.journal_api(request.method, path, refused.status)
            return self._error(refused.status, refused.message, refused.state, refused.headers)

    @web.middleware
    async def _gate(self, request: web.Request, handler: Next) -> web.StreamResponse:
        if self.twin.switches.vs31:
            raise RefusedError(403, "Åtkomst nekad")
        self._login(request)
        if self.twin.switches.vs30 != "none":
            self._pace(self.twin.clock())
        customer = request.match_info.get("customer") or query_of(request).get("customerid")
        if customer is not None:
            self.twin.own(customer)
        return await handler(request)

    def _login(self, request: web.Request) -> None:
        expected = (self.twin.username, self.twin.password)
        if self.twin.switches.vs32 == "pair_per_group":
            groups = (group for start, group in _GROUP_OF.items() if request.path.startswith(start))
            expected = self.twin.credentials[next(groups, "CRM-Contact")]
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        pair = base64.b64encode(":".join(expected).encode()).decode()
        if scheme.lower() != "basic" or given.strip() != pair:
            raise RefusedError(401, "Åtkomst nekad", WWW_Authenticate="Basic")

    def _pace(self, now: datetime) -> None:
        allowance = self.limits.take(now)
        if allowance.allowed:
            return
        again = str(allowance.reset)
        if self.twin.switches.vs30 == "date":
            again = format_datetime(now + timedelta(seconds=allowance.reset), usegmt=True)
        raise RefusedError(429, "För många anrop", Retry_After=again)

    def failure(self, status: int, headers: Mapping[str, str]) -> web.Response:
        """A planned fault in Vitec's words."""
        return self._error(status, "An error has occurred.", {}, headers)

    def _error(
        self, status: int, message: str, state: Mapping[str, list[str]], headers: Mapping[str, str]
    ) -> web.Response:
        match self.twin.switches.vs20:
            case "empty":
                return web.Response(status=status, headers=headers)
            case "html":
                text = "<!DOCTYPE html><html><body><h1>Server Error</h1></body></html>"
                seen = 500 if status == 400 else status
                return web.Response(status=seen, text=text, content_type="text/html", headers=headers)
            case form:
                body: dict[str, Any] = {"message": message}
                if form == "model_state" and state:
                    body["modelState"] = state
                return json_answer(body, status, headers)
