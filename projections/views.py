"""The views, and the one fold that fills them all: live, in a rebuild, and to verify.

`Fold` takes events in the order of the log and says, after each page, which rows are to be deleted and which are to be
written. A rebuild is the same fold from nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from daemon.domain.events import LOG_RESTORED, Event
from daemon.mappings.lens import Options
from projections import batches, commands, conflicts
from projections.batches import BatchRow
from projections.commands import CommandRow
from projections.companies import CompanyRow, company_row
from projections.conflicts import ConflictRow
from projections.contacts import ContactRow, contact_row
from projections.entities import (
    AliasRow,
    EntityRow,
    KeyRow,
    RecordRow,
    alias_rows,
    entity_row,
    key_rows,
    record_rows,
)
from projections.entity import Entity
from projections.fold import Entities
from projections.leads import LeadRow, lead_row
from projections.projects import ProjectRow, project_row
from projections.prospects import ProspectRow, prospect_row

Subject = ContactRow | CompanyRow | ProjectRow | ProspectRow | LeadRow
Row = EntityRow | RecordRow | KeyRow | AliasRow | Subject | CommandRow | ConflictRow | BatchRow

VIEWS: Final[dict[str, type[msgspec.Struct]]] = {
    "entities": EntityRow,
    "records": RecordRow,
    "match_keys": KeyRow,
    "aliases": AliasRow,
    "contacts": ContactRow,
    "companies": CompanyRow,
    "projects": ProjectRow,
    "prospects": ProspectRow,
    "leads": LeadRow,
    "commands": CommandRow,
    "conflicts": ConflictRow,
    "batches": BatchRow,
}
"""Every view by name, with the Struct of its rows. Its table and statements stand in `<name>.sql`."""

SUBJECTS: Final[dict[str, tuple[str, Callable[[str, Entity], Subject]]]] = {
    "contact": ("contacts", contact_row),
    "company": ("companies", company_row),
    "project": ("projects", project_row),
    "prospect": ("prospects", prospect_row),
    "lead": ("leads", lead_row),
}
"""The categories that have a view of their own, with its name and the maker of its row."""

EVERY_ENTITY: Final = ("entities", "records", "match_keys")
"""The views in which an entity of any category has rows."""

ENTITY_VIEWS: Final = (*EVERY_ENTITY, *(view for view, _ in SUBJECTS.values()))
"""The views whose rows follow from one entity: all its rows are replaced together."""


class Change(msgspec.Struct):
    """What a page of events does to the views: per view the keys whose rows go, and the rows that come."""

    delete: dict[str, list[str]]
    insert: dict[str, list[Row]]


class Fold:
    """All views of one tenant. `commands` and `batches` hold the rows at hand, `entities` the entities at hand."""

    def __init__(self, tenant: str, options: Options) -> None:
        self.tenant = tenant
        self.entities = Entities(tenant, options)
        self.commands: dict[str, CommandRow] = {}
        self.batches: dict[str, BatchRow] = {}
        self._commands: set[str] = set()
        self._conflicts: dict[str, ConflictRow] = {}
        self._batches: set[str] = set()

    def evolve(self, events: Iterable[Event]) -> None:
        """Fold a page of events; raises UnknownEventError, and then nothing of the page counts."""
        for event in events:
            self.entities.evolve(event)
            command = commands.evolve(self.tenant, self.commands, event)
            if command is not None:
                self._commands.add(command)
            if event.type == LOG_RESTORED:
                self._commands |= commands.forget(self.commands, event.position)
            row = conflicts.conflict_row(self.tenant, event)
            if row is not None:
                self._conflicts[row.conflict] = row
            batch = batches.evolve(self.tenant, self.batches, event)
            if batch is not None:
                self._batches.add(batch)

    def change(self) -> Change:
        """What the events since the last call do to the views."""
        touched, merged = self.entities.touched, self.entities.merged
        gone = [*touched, *merged]
        change = Change(
            delete={
                **dict.fromkeys(EVERY_ENTITY, gone),
                **{view: [n for n in gone if self._is(n, kind)] for kind, (view, _) in SUBJECTS.items()},
                "aliases": list(merged),
                "commands": list(self._commands),
                "conflicts": list(self._conflicts),
                "batches": list(self._batches),
            },
            insert={
                **self.rows([self.entities.by_id[name] for name in sorted(touched)]),
                "aliases": list(
                    alias_rows(self.tenant, ((name, self.entities.aliases[name]) for name in sorted(merged)))
                ),
                "commands": [self.commands[name] for name in sorted(self._commands)],
                "conflicts": list(self._conflicts.values()),
                "batches": [self.batches[name] for name in sorted(self._batches)],
            },
        )
        self.entities.clear()
        self._commands.clear()
        self._conflicts.clear()
        self._batches.clear()
        return change

    def _is(self, name: str, category: str) -> bool:
        """Whether an entity at hand, or the one that has absorbed it, is of a category."""
        entity = self.entities.resolve(name)
        return entity is None or entity.category == category

    def rows(self, entities: Iterable[Entity]) -> dict[str, list[Row]]:
        """The rows of some entities, by view."""
        rows: dict[str, list[Row]] = defaultdict(list)
        for entity in entities:
            rows["entities"].append(entity_row(self.tenant, entity, self.entities.same))
            rows["records"] += record_rows(self.tenant, entity)
            rows["match_keys"] += key_rows(self.tenant, entity, self.entities.options)
            if entity.category in SUBJECTS:
                view, row_of = SUBJECTS[entity.category]
                rows[view].append(row_of(self.tenant, entity))
        return rows
