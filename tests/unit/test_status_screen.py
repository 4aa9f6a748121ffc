"""One tenant on a terminal of 80 columns and 24 lines, also with everything wrong that can be."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from daemon.cli.states import screen
from daemon.domain.capabilities import CAPABILITIES, NOT_AT_THE_HUB
from daemon.domain.settings import VITEC_LIMITS, Limits, Product
from daemon.domain.subscriptions import TOLD

NOW: Final = datetime(2026, 5, 18, 12, tzinfo=UTC)
LEFT: Final = {"per_second": 20, "per_minute": 580, "per_hour": 9_000}
FREE: Final = {
    **msgspec.to_builtins(Limits(per_second=0, per_minute=0, per_hour=0, concurrency=8)),
    "left": {},
}


def state(product: Product = "connect", **changes: Any) -> dict[str, Any]:
    silent = {"state": "silent", "since": NOW, "last_delivery": NOW, "told": TOLD["silent"]}
    sources = [
        *("vitec", "vitec:project", "vitec:prospect", "vitec:link", "vitec:note"),
        *(f"propstreet:{each}" for each in ("contact", "company", "project", "property", "prospect", "link")),
        "propstreet:note",
    ]
    return {
        "tenant": "oslo",
        "lease": None,
        "stages": {
            "ingest": {"position": 1_000_000, "lag": 0},
            "project": {"position": 999_000, "lag": 1_000},
            "react": {"position": 998_000, "lag": 2_000},
        },
        "commands": {"pending": 1, "held": 2, "dead": 3},
        "held_entities": 4,
        "held_batches": 0,
        "waiting": 50_000,
        "limits": {"vitec": {**msgspec.to_builtins(VITEC_LIMITS), "left": LEFT}, "propstreet": FREE},
        "away": {},
        "sources": {each: {"looked_at": NOW - timedelta(seconds=3), "complete": True} for each in sources},
        "reconciled": None,
        "subscription": {"vitec": silent, "propstreet": silent},
        "capabilities": msgspec.to_builtins(CAPABILITIES[product]),
        **changes,
    }


def test_a_tenant_in_trouble_still_fits_on_one_screen() -> None:
    away = {"vitec": {"since": NOW, "next_look": NOW}}
    lines = screen(state(away=away, held_batches=2), NOW)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_what_waits_what_is_left_and_what_is_behind_is_told() -> None:
    text = "\n".join(screen(state(), NOW))
    for words in (
        "held by    no daemon",
        "1000000 events; project 1000 behind, react 2000 behind",
        "1 pending, 2 held, 3 dead",
        "4 held, 50000 waiting for their release",
        "vitec: 20 of 20/s, 580 of 600/min, 9000 of 10800/h left",
        "propstreet: none",
        "vitec:note 3 s ago",
        "not written: link, property, picture",
    ):
        assert words in text


def test_a_first_poll_is_told_from_an_old_one() -> None:
    sources = {"vitec": {"looked_at": None, "complete": False}}
    assert "vitec first poll under way" in "\n".join(screen(state(sources=sources), NOW))


def test_what_the_hub_has_not_is_told() -> None:
    none = {"state": "none", "since": None, "last_delivery": None, "told": NOT_AT_THE_HUB}
    text = "\n".join(screen(state("hub", subscription={"vitec": none}), NOW))
    assert NOT_AT_THE_HUB in text
    assert "not written: contact" in text
