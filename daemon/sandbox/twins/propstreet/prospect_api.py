"""The routes that only prospects have: classify many, remove one."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from daemon.sandbox.twins.propstreet.answers import BASE
from daemon.sandbox.twins.propstreet.api import RecordApi
from daemon.sandbox.twins.propstreet.checks import Fields, choice, cleaned, given, many, text
from daemon.sandbox.twins.propstreet.gate import TOUCHED, Touched
from daemon.sandbox.twins.propstreet.problems import Problem
from daemon.sandbox.twins.propstreet.schemas import PROSPECT_CLASSES

_CLASSIFY = {
    "prospectIds": given(many(text(required=True), limit=100)),
    "classification": choice(*PROSPECT_CLASSES, required=True),
}


class ProspectApi:
    """Handlers of …/prospects/classify and …/prospects/{id}/remove."""

    def __init__(self, records: RecordApi) -> None:
        self.records = records
        self.store = records.store

    def routes(self) -> list[web.RouteDef]:
        """Every route, ready for an application."""
        all_ = f"{BASE}/projects/{{project}}/{{plural:prospects}}"
        return [
            web.post(f"{all_}/classify", self.classify),
            web.post(f"{all_}/{{id}}/remove", self.remove),
        ]

    async def classify(self, request: web.Request) -> web.Response:
        """One class for up to 100 prospects; the answer counts them (ref POST classify)."""

        def make(body: Mapping[str, Any]) -> web.Response:
            request[TOUCHED] = Touched("prospect", "")
            within = self.records.within(request)
            asked = cleaned(_CLASSIFY, {**dict.fromkeys(_CLASSIFY), **body})
            before: Fields = {}
            failed = []
            for key in dict.fromkeys(asked["prospectIds"]):
                try:
                    prospect = self.store.find("prospect", key, within=within)
                except Problem:
                    failed.append({"prospectId": key, "error": "not_found_or_no_access"})
                    continue
                before[key] = self.store.content(prospect)
                self.store.update(prospect, {"classification": asked["classification"]}, "api")
            after = {key: self.store.content(self.store.find("prospect", key)) for key in before}
            request[TOUCHED] = Touched("prospect", ",".join(before), before, after)
            counts = {"classified": len(before), "succeeded": list(before), "failed": failed}
            return self.records.answer(counts)

        return await self.records.gate.once(request, make)

    async def remove(self, request: web.Request) -> web.Response:
        """Take a prospect off the list: 204, its history stays (ref POST remove; PS6)."""

        def make(_: Mapping[str, Any]) -> web.Response:
            prospect = self.records.found(request)
            self.store.delete(prospect, "api", verb="removed")
            self.records.wrote(request, prospect)
            return web.Response(status=204)

        return await self.records.gate.once(request, make, bodiless=True)
