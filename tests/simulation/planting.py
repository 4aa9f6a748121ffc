"""A small world by hand, for the tests of the truth and of the oracles: who did what is said outright, nothing runs."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import json

from daemon.domain.events import OBSERVED, Decision, Event, Reading, Want, encode
from daemon.sandbox.twins.journal import Entry
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin
from tests.simulation.people import People
from tests.simulation.steps import Knobs, Story
from tests.simulation.truth import Call, Truth

ENTITY = "con-planted"


class Plot:
    """Both twins with their truth and a log that the test writes; `at` is the virtual second."""

    def __init__(self, knobs: Knobs | None = None) -> None:
        self.at = 0.0
        self.story = Story(1, knobs or Knobs())
        self.vitec = VitecConnectTwin(clock=self._clock)
        self.propstreet = PropstreetTwin(clock=self._clock, limits=None)
        self.truth = Truth(self.vitec, self.propstreet, lambda: self.at)
        self.people = People(self.vitec, self.propstreet, self.truth)
        self.events: list[Event] = []
        self.epochs: list[tuple[int, int]] = []
        self.views: dict[str, Sequence[Mapping[str, Any]]] = {}
        self._versions: defaultdict[str, int] = defaultdict(int)
        self._calls = 0

    def _clock(self) -> datetime:
        return datetime.fromisoformat(self.story.knobs.start) + timedelta(seconds=self.at)

    # --- the daemon's hands

    def writes_at_vitec(self, record: str, sent: float | None = None, **fields: Any) -> None:
        """The daemon's UpdatePerson, carried out now."""
        body = {"contactId": record, "customerId": self.vitec.customer_id, **fields}
        change = self.vitec.update("person", body)
        self.vitec.journal_api("POST", "/Contacts/UpdatePerson", 200, change)
        self.called("POST", "vitec", "/Contacts/UpdatePerson", str(body), sent)

    def writes_at_propstreet(self, record: str, category: str = "contact", **fields: Any) -> None:
        """The daemon's PATCH."""
        row = self.propstreet.store.find(category, record)
        self.propstreet.store.update(row, fields, "api")
        self._journal("PATCH", category, record)

    def makes_at_propstreet(self, category: str = "contact", **fields: Any) -> str:
        """The daemon's POST."""
        row, _ = self.propstreet.store.create(category, fields, "api")
        self._journal("POST", category, str(row.id))
        return str(row.id)

    def removes_at_propstreet(self, record: str, category: str = "contact") -> None:
        """The daemon's DELETE."""
        self.propstreet.store.delete(self.propstreet.store.find(category, record), "api")
        self._journal("DELETE", category, record)

    def reads_at_vitec(self, record: str) -> None:
        """The daemon's GET, answered at once."""
        self.called("GET", "vitec", f"/CRM/Contact/M11385/Person/{record}")

    def called(self, method: str, vendor: str, path: str, body: str = "", sent: float | None = None) -> None:
        """A call of the daemon's, carried out and answered now."""
        self._calls += 1
        began = self.at if sent is None else sent
        self.truth.called(Call(self._calls, vendor, method, path, "", body, began, self.at, self.at))

    def _journal(self, method: str, category: str, record: str) -> None:
        entry = Entry(self._clock(), "api", "write", method, "/api", category, record, 200, changed=True)
        self.propstreet.journal.append(entry)

    # --- the log and the views

    def appended(self, stream: str, what: Decision | str, origin: str = "toveis", data: str = "{}") -> Event:
        """An event in the log: a decision, or an observation by its type's name."""
        self._versions[stream] += 1
        told = encode(what).decode() if isinstance(what, Decision) else data
        event = Event(
            position=len(self.events) + 1,
            event_id=uuid.UUID(int=len(self.events) + 1),
            stream=stream,
            version=self._versions[stream],
            type=what if isinstance(what, str) else type(what).__name__,
            schema_version=1,
            origin=origin,
            occurred_at=self._clock(),
            recorded_at=self._clock(),
            causation_id=None,
            correlation_id=uuid.UUID(int=1),
            data=told,
            meta=encode(Reading(via="poll", started=len(self.events))).decode()
            if isinstance(what, str)
            else None,
        )
        self.events.append(event)
        return event

    def observed(self, vendor: str, record: str, category: str = "contact") -> Event:
        """The record as it is now, in the log."""
        row = self.vitec.get(record) if vendor == "vitec" else self.propstreet.get(category, record)
        data = json.encode(row).decode()
        return self.appended(f"{category}:{vendor}:{record}", OBSERVED, vendor, data)

    def pair(self, **fields: str) -> tuple[str, str]:
        """One person at both vendors, linked by a reference, known to the daemon."""
        told = {"firstName": "Anna", "lastName": "Berg", **fields}
        here = self.vitec.create("person", **told, email={"emailAddress": "anna@example.se"})
        reference = [{"namespace": "vitec-next", "id": here}]
        there = self.propstreet.create("contact", **told, email="anna@example.se", externalRefs=reference)
        self.truth.look("person")
        self.observed("vitec", here)
        self.observed("propstreet", there)
        self.knows(("vitec", here), ("propstreet", there))
        return here, there

    def knows(self, *records: tuple[str, str], entity: str = ENTITY, **state: Any) -> None:
        """The daemon's views have these contacts as one entity in this state."""
        rows = [
            {"entity": entity, "category": "contact", "vendor": vendor, "external_id": record}
            for vendor, record in records
        ]
        self.views["records"] = [*self.views.get("records", ()), *rows]
        entities = [row for row in self.views.get("entities", ()) if row["entity"] != entity]
        self.views["entities"] = [*entities, {"entity": entity, "dormant": False, "state": state}]


def wanted(value: str, source: Event, rule: str = "only Vitec changed", vendor: str = "vitec") -> Want:
    """One field of a command, from an event of the other side."""
    return Want(value, vendor, value, source.position, None, rule=rule)
