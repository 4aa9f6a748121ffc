"""The calls that public clients of the Hub make, as an aiohttp application.

What a refusal's body looks like is unknown, so there is none. An installation that is not the login's own is
answered 403, because rights are given per customer; the vendor's real answer is unknown.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from daemon.sandbox.twins.journal import Entry

if TYPE_CHECKING:
    from daemon.sandbox.twins.vitec_hub.twin import VitecHubTwin

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

FIDELITY = {"X-Twin-Fidelity": "partial"}
_LISTED = ("estateId", "changedDate", "streetAdress", "zipCode", "city", "assignmentNum", "estateBaseType")
_ADDRESS = ("streetAdress", "zipCode", "city")
_DETAILS = ("brokersIdWithRoles", "assignmentNum", "projectUnits")
_RELATION_TYPES = {"0": 0, "1": 1}
_EVER = "0001-01-01"


class Api:
    """The routes over one twin, with login, rights and the mark that every answer carries."""

    def __init__(self, twin: "VitecHubTwin") -> None:
        self.twin = twin

    def application(self) -> web.Application:
        """A fresh application; several may live one after the other."""
        app = web.Application(middlewares=[self.twin.faults.middleware, self._count, self._gate])
        app.on_response_prepare.append(_mark)
        estates = "/{installation}/Estates"
        app.add_routes(
            [
                web.get("/Account/Methods", self.methods),
                web.get("/{installation}/Departments", self.departments),
                web.get("/{installation}/Departments/{id}", self.department),
                web.get("/{installation}/Employees", self.employees),
                web.get("/{installation}/Employees/{id}", self.employee),
                web.get(estates, self.estates),
                web.get(f"{estates}/{{id}}", self.estate),
                web.get(f"{estates}/{{id}}/ContactRelations", self.relations),
            ]
        )
        return app

    # --- around every call

    @web.middleware
    async def _count(self, request: web.Request, handler: Next) -> web.StreamResponse:
        now = self.twin.clock()
        self.twin.journal.append(
            Entry(now, "api", "read", request.method, _route(request), "estate", "", 200)
        )
        return await handler(request)

    @web.middleware
    async def _gate(self, request: web.Request, handler: Next) -> web.StreamResponse:
        pair = b64encode(f"{self.twin.username}:{self.twin.password}".encode()).decode()
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic" or given.strip() != pair:
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        if request.match_info.get("installation", self.twin.installation) != self.twin.installation:
            return web.Response(status=403)
        if (function := _function(request)) and function not in self.twin.functions:
            return web.Response(status=403)
        return await handler(request)

    def failure(self, status: int, headers: Mapping[str, str]) -> web.StreamResponse:
        """A planned fault; a 429 asks for the twin's own `retry_after`."""
        wait = {"Retry-After": str(self.twin.retry_after)} if status == 429 else {}
        return web.Response(status=status, headers={**headers, **wait})

    # --- reading

    async def methods(self, request: web.Request) -> web.Response:
        """GET Account/Methods: the functions open to the login, as texts; the vendor's shape is unknown."""
        return _json(self.twin.functions)

    async def departments(self, request: web.Request) -> web.Response:
        """GET {inst}/Departments: an array."""
        return _json(list(self.twin.departments.values()))

    async def department(self, request: web.Request) -> web.Response:
        """GET {inst}/Departments/{id}: one of them."""
        return _found(self.twin.departments.get(request.match_info["id"]))

    async def employees(self, request: web.Request) -> web.Response:
        """GET {inst}/Employees: an array."""
        return _json(list(self.twin.employees.values()))

    async def employee(self, request: web.Request) -> web.Response:
        """GET {inst}/Employees/{id}: one of them."""
        return _found(self.twin.employees.get(request.match_info["id"]))

    async def estates(self, request: web.Request) -> web.Response:
        """GET {inst}/Estates: short rows; `changedAfter`, a weakly sourced filter, leaves its own moment out."""
        try:
            after = _time(request.query.get("changedAfter", _EVER))
        except ValueError:
            return web.Response(status=400)
        rows = [estate for estate in self.twin.estates() if _time(estate["changedDate"]) > after]
        return _json([{name: estate[name] for name in _LISTED} for estate in rows])

    async def estate(self, request: web.Request) -> web.Response:
        """GET {inst}/Estates/{id}: only the fields that public clients name, which leave its id out."""
        estate = self.twin.estate(request.match_info["id"])
        if estate is None:
            return web.Response(status=404)
        address = {name: estate[name] for name in _ADDRESS}
        return _json({"address": address} | {name: estate[name] for name in _DETAILS})

    async def relations(self, request: web.Request) -> web.Response:
        """GET …/ContactRelations?relationType=0 or 1; 400 for any other, whose meaning is unknown."""
        estate_id = request.match_info["id"]
        if self.twin.estate(estate_id) is None:
            return web.Response(status=404)
        relation_type = _RELATION_TYPES.get(request.query.get("relationType", ""))
        if relation_type is None:
            return web.Response(status=400)
        return _json({"contacts": self.twin.related(estate_id, relation_type)})


async def _mark(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(FIDELITY)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource else request.path


def _function(request: web.Request) -> str | None:
    """The function that a call belongs to: the last fixed word of its route, unless it is of the account."""
    words = [word for word in _route(request).split("/") if word and not word.startswith("{")]
    return words[-1] if "installation" in request.match_info else None


def _json(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", charset="utf-8")


def _found(record: dict[str, Any] | None) -> web.Response:
    return web.Response(status=404) if record is None else _json(record)


def _time(text: str) -> datetime:
    """An aware time; a bare one is read as UTC, since the vendor's zone is unknown."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
