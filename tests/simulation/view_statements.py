"""What the statements of `views.sql` do."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

import msgspec

from tests.simulation.registry import Answers, Tables, statement
from tests.simulation.tables import Row, at, schemas

_OPEN: Final = ("pending", "unknown", "flying")
_SENDABLE: Final = ("pending", "unknown")


@statement("views.entities_of_records", "category vendor external_id entity")
def entities_of_records(
    t: Tables, tenant: str, categories: list[str], vendors: list[str], records: list[str]
) -> Answers:
    found = (t.records.get(tenant, *key) for key in zip(categories, vendors, records, strict=True))
    return [(row.category, row.vendor, row.external_id, row.entity) for row in found if row is not None]


@statement("views.aliases", "alias entity")
def aliases(t: Tables, tenant: str, names: Iterable[str]) -> Answers:
    return [(row.alias, row.entity) for row in _each(t, "aliases", tenant, names)]


@statement("views.states", "state")
def states(t: Tables, tenant: str, names: Iterable[str]) -> Answers:
    return [(row.state,) for row in _each(t, "entities", tenant, names)]


@statement("views.entity_names", "entity")
def entity_names(t: Tables, tenant: str, after: str, limit: int) -> Answers:
    names = sorted(row.entity for row in t.entities.where(tenant=tenant) if row.entity > after)
    return [(name,) for name in names[:limit]]


@statement("views.commands", "to_json")
def commands(t: Tables, tenant: str, names: Iterable[str]) -> Answers:
    return _as_json(_each(t, "commands", tenant, names))


@statement("views.entities_with_any_key", "entity")
def entities_with_any_key(t: Tables, tenant: str, category: str, keys: Iterable[str]) -> Answers:
    return _once(row.entity for row in _keyed(t, tenant, [category], keys))


@statement("views.entities_by_key", "key entity")
def entities_by_key(t: Tables, tenant: str, category: str, keys: Iterable[str]) -> Answers:
    return [(row.key, row.entity) for row in _keyed(t, tenant, [category], keys)]


@statement("views.absorbed", "alias")
def absorbed(t: Tables, tenant: str, names: Iterable[str]) -> Answers:
    return [
        (row.alias,) for name in dict.fromkeys(names) for row in t.aliases.where(tenant=tenant, entity=name)
    ]


@statement("views.unsealed", "entity")
def unsealed(t: Tables, tenant: str) -> Answers:
    return [(row.entity,) for row in t.entities.where(tenant=tenant, unsealed=True)]


@statement("views.unlinked", "entity")
def unlinked(t: Tables, tenant: str, category: str) -> Answers:
    rows = t.entities.where(tenant=tenant, category=category, linked=False)
    return [(row.entity,) for row in rows if not row.dormant]


@statement("views.dormant", "entity")
def dormant(t: Tables, tenant: str, category: str) -> Answers:
    rows = t.entities.where(tenant=tenant, category=category, dormant=True)
    return [(row.entity,) for row in sorted(rows, key=attrgetter("position", "entity"))]


@statement("views.dependents", "entity")
def dependents(
    t: Tables, tenant: str, categories: Iterable[str], keys: Iterable[str], linked: bool
) -> Answers:
    return _once(
        row.entity
        for row in _keyed(t, tenant, categories, keys)
        if (entity := t.entities.get(tenant, row.entity)) is not None and (linked or not entity.linked)
    )


@statement("views.linked_records", "external_id")
def linked_records(t: Tables, tenant: str, category: str, vendor: str) -> Answers:
    rows = t.records.where(tenant=tenant, category=category, vendor=vendor)
    return [(name,) for name in sorted(row.external_id for row in rows if _entity(t, row, linked=True))]


@statement("views.refused_fields", "target category field")
def refused_fields(t: Tables, tenant: str, categories: Iterable[str]) -> Answers:
    found: dict[tuple[str, str, str], None] = {}
    for category in dict.fromkeys(categories):
        rows = t.commands.where(tenant=tenant, category=category)
        for row in rows:
            kept = row.state in ("held", "discarded") and row.reason == "not_writable" and row.attempts > 0
            fields = {*(row.fields if kept else ()), *row.unconfirmed} - _released_since(rows, row)
            found.update(dict.fromkeys((row.target, category, field) for field in sorted(fields)))
    return [*found]


def _released_since(rows: Iterable[Row], refused: Row) -> set[str]:
    """The fields that an operator wants tried once more."""
    released = (row for row in rows if row.state == "released" and row.target == refused.target)
    return {field for row in released if row.position > refused.position for field in row.fields}


@statement("views.leads_of", "entity")
def leads_of(t: Tables, tenant: str, email: str | None, vitec_id: str | None) -> Answers:
    rows = [
        row
        for row in t.leads.where(tenant=tenant)
        if (email is not None and row.email == email) or (vitec_id is not None and row.vitec_id == vitec_id)
    ]
    return [(row.entity,) for row in sorted(rows, key=attrgetter("received_at"), reverse=True)]


@statement("views.waiting_leads", "entity")
def waiting_leads(t: Tables, tenant: str) -> Answers:
    return [(row.entity,) for row in t.leads.where(tenant=tenant, state="waiting")]


@statement("views.projects_named", "entity")
def projects_named(t: Tables, tenant: str, name: str) -> Answers:
    rows = t.projects.where(tenant=tenant)
    return [(row.entity,) for row in rows if row.name is not None and row.name.lower() == name.lower()]


@statement("views.observed", "entity")
def observed(t: Tables, tenant: str) -> Answers:
    return _once(row.entity for row in t.commands.where(tenant=tenant, state="held", reason="observe"))


@statement("views.unsent", "entity")
def unsent(t: Tables, tenant: str) -> Answers:
    return _once(row.entity for row in t.commands.where(tenant=tenant, state="pending"))


def _need(t: Tables, row: Row) -> int:
    """The event since which a record must be read again, or the last one that its entity had."""
    position: int = t.entities.get(row.tenant, row.entity).position
    return position if row.need is None else row.need


def _backfill(t: Tables, row: Row) -> bool:
    """Nobody has edited it since the first poll, as far as we were told."""
    entity = t.entities.get(row.tenant, row.entity)
    released = at(entity.state, "backfill") is not None
    return entity.dormant or (released and at(entity.state, "sides", row.vendor, "first") is None)


@statement("views.needs", "category vendor external_id kind need parts backfill")
def needs(t: Tables, tenant: str, vendor: str, now: datetime, limit: int) -> Answers:
    rows = [
        row
        for row in t.records.where(tenant=tenant, vendor=vendor)
        if row.need is not None or (row.check_at is not None and row.check_at <= now)
        if _addressed(row) and _entity(t, row)
    ]
    rows.sort(key=lambda row: (_backfill(t, row), _need(t, row), row.category, row.external_id))
    return [
        (
            row.category,
            row.vendor,
            row.external_id,
            row.kind,
            _need(t, row),
            row.parts,
            _backfill(t, row),
        )
        for row in rows[:limit]
    ]


@statement("views.due_commands", "to_json")
def due_commands(
    t: Tables,
    tenant: str,
    target: str,
    now: Any,
    limit: int,
    commands: Sequence[str],
    positions: Sequence[int],
) -> Answers:
    rests = set(zip(commands, positions, strict=True))
    rows = [
        row
        for row in _in_states(t, tenant, _SENDABLE)
        if row.target == target and (row.due_at is None or row.due_at <= now)
        if (row.command, row.position) not in rests
    ]
    rows.sort(
        key=lambda row: (row.backfill, row.record is None, row.due_at is None, row.due_at or now, row.issued)
    )
    return _as_json(rows[:limit])


@statement("views.flying_commands", "to_json")
def flying_commands(t: Tables, tenant: str) -> Answers:
    return _as_json(sorted(_in_states(t, tenant, ("flying",)), key=attrgetter("issued")))


@statement("views.commands_in", "to_json")
def commands_in(t: Tables, tenant: str, wanted: Iterable[str]) -> Answers:
    return _as_json(sorted(_in_states(t, tenant, wanted), key=attrgetter("issued")))


@statement("views.commands_like", "to_json")
def commands_like(t: Tables, tenant: str, prefix: str, limit: int) -> Answers:
    rows = [row for row in t.commands.where(tenant=tenant) if row.command.startswith(prefix)]
    rows.sort(key=lambda row: (row.state not in (*_OPEN, "held", "dead"), -row.issued))
    return _as_json(rows[:limit])


@statement("views.entities_like", "state")
def entities_like(t: Tables, tenant: str, prefix: str, limit: int) -> Answers:
    rows = [row for row in t.entities.where(tenant=tenant) if row.entity.startswith(prefix)]
    rows = [
        row for row in rows if at(row.state, "tombstone") is not None or at(row.state, "hold") is not None
    ]
    return [(row.state,) for row in sorted(rows, key=attrgetter("entity"))[:limit]]


@statement("views.counts", "pending held dead")
def counts(t: Tables, tenant: str) -> Answers:
    return [tuple(len(_in_states(t, tenant, wanted)) for wanted in (_OPEN, ("held",), ("dead",)))]


@statement("views.conflict_count", "count")
def conflict_count(t: Tables, tenant: str) -> Answers:
    return [(len(t.conflicts.where(tenant=tenant)),)]


@statement("views.conflicts_since", "lost restored_by")
def conflicts_since(t: Tables, tenant: str, since: datetime | None, restores: bool) -> Answers:
    found = sorted(t.conflicts.where(tenant=tenant), key=attrgetter("position"))
    by = {row.restores: row.by or "an operator" for row in found if row.restores is not None}
    listed = [
        row for row in found if (since is None or row.at >= since) and (restores or row.restores is None)
    ]
    return [
        (text, by.get(row.conflict))
        for row, (text,) in zip(listed, _as_json(listed, "conflicts"), strict=True)
    ]


@statement("views.conflicts_called", "to_json")
def conflicts_called(t: Tables, tenant: str, prefix: str, limit: int) -> Answers:
    found = [row for row in t.conflicts.where(tenant=tenant) if row.conflict.startswith(prefix)]
    return _as_json(sorted(found, key=attrgetter("position"))[:limit], "conflicts")


@statement("views.held_entities", "count")
def held_entities(t: Tables, tenant: str) -> Answers:
    return [(len(_held(t, tenant)),)]


@statement("views.held", "entity category position hold")
def held(t: Tables, tenant: str) -> Answers:
    rows = sorted(_held(t, tenant), key=lambda row: int(at(row.state, "hold", "position")))
    return [
        (row.entity, row.category, row.position, msgspec.json.encode(at(row.state, "hold")).decode())
        for row in rows
    ]


@statement("views.joining", "entity")
def joining(t: Tables, tenant: str, categories: list[str]) -> Answers:
    return [
        (row.entity,)
        for row in t.entities.where(tenant=tenant)
        if (row.category in categories and row.linked and at(row.state, "tombstone") is None)
        or (
            at(row.state, "sides", "vitec", "into") is not None
            and at(row.state, "sides", "vitec", "gone") is not None
        )
    ]


@statement("views.waiting", "category entities")
def waiting(t: Tables, tenant: str) -> Answers:
    released = {row.category for row in t.batches.where(tenant=tenant, kind="first_sync")}
    rows = t.entities.where(tenant=tenant, dormant=True)
    return [*sorted(Counter(row.category for row in rows if row.category not in released).items())]


@statement("views.backfilled", "target ended open")
def backfilled(t: Tables, tenant: str, since: int) -> Answers:
    rows = [row for row in t.commands.where(tenant=tenant, backfill=True) if row.issued > since]
    ended = Counter(row.target for row in rows if row.state not in (*_OPEN, "superseded"))
    open_ = Counter(row.target for row in rows if row.state in _OPEN)
    return [(each, ended[each], open_[each]) for each in sorted({row.target for row in rows})]


@statement("views.joined_records", "external_id")
def joined_records(t: Tables, tenant: str, category: str, vendor: str, key: str) -> Answers:
    rows = t.match_keys.where(tenant=tenant, category=category, key=key)
    return [(row.external_id,) for row in rows if row.vendor == vendor and _present(t, row, vendor)]


@statement("views.estates_to_look_at", "external_id kind")
def estates_to_look_at(t: Tables, tenant: str, audited: Any) -> Answers:
    found = []
    for row in t.records.where(tenant=tenant, category="project", vendor="vitec"):
        if row.kind is None or not _present(t, row, "vitec"):
            continue
        read = t.reads.get(tenant, f"project:vitec:{row.external_id}")
        read_at = None if read is None else read.read_at
        shadow = at(t.entities.get(tenant, row.entity).state, "sides", "vitec", "shadow")
        if read_at is None or read_at < audited or _in_sale(shadow):
            found.append((read_at, row))
    return [(row.external_id, row.kind) for row in _longest_first(found)]


@statement("views.kinds", "external_id kind")
def kinds(t: Tables, tenant: str, category: str, vendor: str, records: Iterable[str]) -> Answers:
    found = (t.records.get(tenant, category, vendor, record) for record in dict.fromkeys(records))
    return [(row.external_id, row.kind) for row in found if row is not None and row.kind is not None]


@statement("views.owners_to_look_at", "external_id kind")
def owners_to_look_at(
    t: Tables, tenant: str, categories: Iterable[str], vendor: str, source: str, audited: Any
) -> Answers:
    found = []
    for row in _linked_and_present(t, tenant, categories, vendor):
        if row.kind is None:
            continue
        looked_at = _looked_at(t, tenant, f"{source}:{row.external_id}")
        read = t.reads.get(tenant, f"{row.category}:{vendor}:{row.external_id}")
        read_since = looked_at and read is not None and read.read_at is not None and read.read_at > looked_at
        if looked_at is None or looked_at < audited or read_since:
            found.append((looked_at, row))
    return [(row.external_id, row.kind) for row in _longest_first(found)]


@statement("views.owners_of_notes", "category external_id parts")
def owners_of_notes(t: Tables, tenant: str, categories: Iterable[str], vendor: str, source: str) -> Answers:
    found = [
        (_looked_at(t, tenant, f"{source}:{row.category}:{row.external_id}"), row)
        for row in _linked_and_present(t, tenant, categories, vendor)
    ]
    return [(row.category, row.external_id, row.parts) for row in _longest_first(found)]


# -- what several of them ask


def _each(t: Tables, table: str, tenant: str, names: Iterable[str]) -> list[Row]:
    seen = getattr(t, table)
    found = (seen.get(tenant, name) for name in dict.fromkeys(names))
    return [row for row in found if row is not None]


def _as_json(rows: Iterable[Row], table: str = "commands") -> Answers:
    text_of = schemas()[table].text_of
    return [(text_of(row),) for row in rows]


def _once(names: Iterable[str]) -> Answers:
    return [(name,) for name in dict.fromkeys(names)]


def _keyed(t: Tables, tenant: str, categories: Iterable[str], keys: Iterable[str]) -> list[Row]:
    wanted = list(dict.fromkeys(keys))
    return [
        row
        for category in dict.fromkeys(categories)
        for key in wanted
        for row in t.match_keys.where(tenant=tenant, category=category, key=key)
    ]


def _in_states(t: Tables, tenant: str, wanted: Iterable[str]) -> list[Row]:
    return [row for state in dict.fromkeys(wanted) for row in t.commands.where(tenant=tenant, state=state)]


def _held(t: Tables, tenant: str) -> list[Row]:
    rows = [row for row in t.entities.where(tenant=tenant) if at(row.state, "hold", "reason") is not None]
    return [row for row in rows if at(row.state, "hold", "quiet") is None]


def _entity(t: Tables, record: Row, *, linked: bool = False) -> bool:
    entity = t.entities.get(record.tenant, record.entity)
    return entity is not None and (entity.linked or not linked)


def _present(t: Tables, record: Row, vendor: str) -> bool:
    entity = t.entities.get(record.tenant, record.entity)
    return entity is not None and at(entity.state, "sides", vendor, "gone") is None


def _linked_and_present(t: Tables, tenant: str, categories: Iterable[str], vendor: str) -> list[Row]:
    return [
        row
        for category in dict.fromkeys(categories)
        for row in t.records.where(tenant=tenant, category=category, vendor=vendor)
        if _entity(t, row, linked=True) and _present(t, row, vendor)
    ]


def _addressed(record: Row) -> bool:
    """What nobody can address yet is left to the polls."""
    if record.category in ("prospect", "link", "note") and record.parts == "{}":
        return False
    return not (
        record.category in ("project", "property") and record.vendor == "vitec" and record.kind is None
    )


def _in_sale(shadow: Any) -> bool:
    classification = ((shadow or {}).get("classification") or {}).get("value")
    status = ((shadow or {}).get("status") or {}).get("value")
    return bool(classification == "active" and status != "closed")


def _looked_at(t: Tables, tenant: str, source: str) -> Any:
    cursor = t.cursors.get(tenant, source)
    return None if cursor is None else cursor.looked_at


def _longest_first(found: list[tuple[Any, Row]]) -> list[Row]:
    """Rows by a time, those without one first."""
    found.sort(key=lambda each: (each[1].category, each[1].external_id))
    never = [row for time, row in found if time is None]
    return never + [row for time, row in sorted((f for f in found if f[0] is not None), key=lambda f: f[0])]
