"""The calls that concern estates and projects.

Source: Vitec's description of its v1 calls Estate/* and of CRM/Project.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.vitec_connect.calls import (
    Answer,
    Handler,
    body_of,
    json_answer,
    no_content,
    query_of,
    time_of,
    within,
    write,
)
from daemon.sandbox.twins.vitec_connect.contacts import render, wall_clock, without_nulls
from daemon.sandbox.twins.vitec_connect.estates import (
    DATES,
    KIND_OF_CRITERIA,
    LISTED,
    Estate,
    status_read,
)
from daemon.sandbox.twins.vitec_connect.lead_desk import LeadDesk
from daemon.sandbox.twins.vitec_connect.office import UNKNOWN_ESTATE
from daemon.sandbox.twins.vitec_connect.writing import RefusedError

_SPAN_OF_DATE = {"SignatureDate": "agreementDate", "AccessDate": "accessDate"}
_OF_PROJECTS = ("priceRange", "livingSpaceRange", "numberOfRoomsRange")


class EstateCalls:
    """The list, the records, the statuses, and the one write that a project takes."""

    def __init__(self, twin: LeadDesk) -> None:
        self.twin = twin

    def routes(self) -> list[web.RouteDef]:
        """Every route of these calls."""
        return [
            web.post("/Estate/GetEstateList", self.estates),
            web.post("/Estate/GetStatuses", self.statuses),
            *(web.get(f"/Estate/Get{kind}", self.record(kind)) for kind in LISTED),
            web.put("/CRM/Project/{customer}/{project}", write(self.twin, self.update_project)),
        ]

    async def estates(self, request: web.Request) -> web.Response:
        """POST Estate/GetEstateList: one object for the customer with a list of rows per type."""
        body = await body_of(request)
        if not isinstance(body, dict):
            raise RefusedError(400)
        asked = {str(name).lower(): value for name, value in body.items() if value not in (None, "", [])}
        if "customerid" not in asked:
            raise RefusedError(400, state={"criteria.CustomerId": ["Kundid krävs"]})
        self.twin.own(asked["customerid"])
        kinds, dated, stands = self._kinds(asked), self._dated(asked), self._in_status(asked)
        broker, area = asked.get("userid"), str(asked.get("countymunicipalitycode", ""))
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in LISTED.values()}
        for estate in self.twin.register.values():
            if (
                estate.kind in kinds
                and dated(estate)
                and stands(estate)
                and broker in (None, estate.fields["assignment"]["responsibleBroker"])
                and str(estate.address["countyMunicipalityParishCode"] or "").startswith(area)
            ):
                rows[LISTED[estate.kind]].append(self._row(estate))
        cut = {name: found[: self.twin.switches.vs27] for name, found in rows.items()}
        return json_answer([{"customerId": self.twin.customer_id, **cut}])

    async def statuses(self, request: web.Request) -> web.Response:
        """POST Estate/GetStatuses?customerId: the numbers and labels of v1 (VS28)."""
        self.twin.own(query_of(request).get("customerid"))
        return json_answer(self.twin.statuses())

    def record(self, kind: str) -> Handler:
        """GET Estate/Get{Type}; a project is asked for by projectId (VS29)."""

        async def handler(request: web.Request) -> web.Response:
            asked = query_of(request)
            estate_id = asked.get("projectid" if kind == "Project" else "estateid", "")
            if kind == "Project" and not estate_id and self.twin.switches.vs29 == "either":
                estate_id = asked.get("estateid", "")
            if not estate_id:
                raise RefusedError(400, state={"estateId": ["Objektid krävs"]})
            estate = self.twin.known_estate(estate_id, 404)
            if estate.kind != kind:
                raise RefusedError(404, UNKNOWN_ESTATE)
            since = self.twin.now() if asked.get("onlyfutureviewings", "").lower() == "true" else None
            return json_answer(self.twin.estate_form(estate, since=since))

        return handler

    def update_project(self, request: web.Request, body: object) -> Answer:
        """PUT CRM/Project: 204."""
        return self.twin.update_project(request.match_info["project"], body), no_content()

    # --- inside

    def _kinds(self, asked: Mapping[str, Any]) -> set[str]:
        given = asked.get("type", [])
        if not isinstance(given, list):
            raise RefusedError(400)
        found = {self._choice(kind, list(LISTED), KIND_OF_CRITERIA) for kind in given}
        return found or set(LISTED)

    def _choice(self, given: object, names: list[str], by_lower: Mapping[str, str]) -> str:
        by_number = self.twin.switches.vs25 == "name_or_number"
        if isinstance(given, int) and not isinstance(given, bool) and by_number and 0 <= given < len(names):
            return names[given]
        if isinstance(given, str) and given.lower() in by_lower:
            return by_lower[given.lower()]
        raise RefusedError(400, state={"criteria": ["Värdet finns inte i listan"]})

    def _dated(self, asked: Mapping[str, Any]) -> Callable[[Estate], bool]:
        kind = self._choice(
            asked.get("typeofdate", "None"), list(DATES), {name.lower(): name for name in DATES}
        )
        span = (time_of(asked.get("datefrom")), time_of(asked.get("dateto")))
        match kind:
            case "None":
                return lambda _: True
            case "DateChanged":
                return lambda estate: within(estate.changed_at, span)
            case "ViewingDate":
                viewings = self.twin.viewings
                return lambda estate: any(within(v.starts_at, span) for v in viewings.get(estate.id, ()))
            case _:
                return lambda estate: _on_day(estate, _SPAN_OF_DATE[kind], span)

    def _in_status(self, asked: Mapping[str, Any]) -> Callable[[Estate], bool]:
        given = asked.get("statuses", [])
        if not (isinstance(given, list) and all(isinstance(status, dict) for status in given)):
            raise RefusedError(400)
        if not given:
            return lambda _: True
        ids = {str(status["id"]) for status in given if status.get("id") is not None}
        names = {status.get("name") for status in given if status.get("id") is None}

        def stands(estate: Estate) -> bool:
            status = status_read(estate.status, self.twin.switches)
            return status["id"] in ids or status["name"] in names

        return stands

    def _row(self, estate: Estate) -> dict[str, Any]:
        fields, address = estate.fields, estate.address
        viewings = [
            {"startTime": wall_clock(v.starts_at), "endTime": wall_clock(v.ends_at)}
            for v in self.twin.viewings.get(estate.id, ())
        ]
        image = fields["images"][0] if fields["images"] else None
        row = {
            "id": estate.id,
            "status": status_read(estate.status, self.twin.switches),
            "customerId": self.twin.customer_id,
            "areaName": address["area"],
            "streetAddress": address["streetAddress"],
            "shortSaleDescription": fields["description"]["shortSellingDescription"],
            "objectNumber": fields["assignment"]["estatenumber"],
            "dateChanged": render(estate.changed_at, self.twin.switches),
            "coordinate": address["coordinate"],
            "viewingsList": viewings,
            "bidding": bool(self.twin.bids.get(estate.id)),
            "mainImage": image,
        }
        if estate.kind == "Project":
            row["projectName"] = fields["baseInformation"]["projectName"]
            row |= {name: fields[name] for name in _OF_PROJECTS} | {"viewings": viewings}
        return without_nulls(row) if self.twin.switches.vs19 == "left_out" else row


def _on_day(estate: Estate, name: str, span: tuple[datetime | None, datetime | None]) -> bool:
    at = time_of(estate.fields.get("date", {}).get(name))
    return at is not None and within(at, span)
