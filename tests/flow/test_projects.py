"""Estates at Vitec are projects at Propstreet; whoever is interested in one is its prospect."""

from collections.abc import Callable
from typing import Any

from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from tests.conftest import eventually
from tests.flow.conftest import Flow

OFFICE = {
    "description": {"sellingHeading": "Kontor i Malmö"},
    "price": {"price": 12_500_000},
}


def _project_of(running: Flow, estate: str) -> dict[str, Any] | None:
    for project in running.world.propstreet.records("project"):
        if {"namespace": "vitec-next", "id": estate} in project["externalRefs"]:
            return dict(project)
    return None


def _prospects(running: Flow) -> list[dict[str, Any]]:
    return [dict(row) for row in running.world.propstreet.records("prospect")]


async def test_an_estate_becomes_a_project_and_its_speculators_become_prospects(flow: Callable[..., Any]) -> None:
    async with flow(propstreet=PropstreetSwitches(ps5="accepted")) as running:
        vitec = running.world.vitec
        estate = vitec.create_estate("CommercialProperty", status="ForSale", **OFFICE)
        kari = vitec.create("person", firstName="Kari", lastName="Ås", email={"emailAddress": "kari@example.no"})
        vitec.relate(kari, estate, "VeryInterested")
        await eventually(lambda: _project_of(running, estate) is not None)
        await eventually(lambda: [p["classification"] for p in _prospects(running)] == ["interested"])
        project = _project_of(running, estate)
        assert project is not None
        assert project["name"] == "Kontor i Malmö"
        assert project["price"]["value"] == 12_500_000
        await eventually(lambda: (_project_of(running, estate) or {})["classification"] == "active")
        await eventually(running.idle)
        assert ("propstreet", "not_writable", ("stage",)) in await running.held("project")
        await running.check_log()
