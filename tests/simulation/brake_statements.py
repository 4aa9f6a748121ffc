"""What the statements of `brakes.sql` do, and what the views ask of batches."""

from collections import Counter
from collections.abc import Collection
from operator import attrgetter

from tests.simulation.registry import Answers, Tables, statement
from tests.simulation.tables import schemas


@statement("views.batches", "to_json")
def batches_called(t: Tables, tenant: str, names: Collection[str]) -> Answers:
    found = (t.batches.get(tenant, name) for name in dict.fromkeys(names))
    return [(schemas()["batches"].text_of(row),) for row in found if row is not None]


@statement("brakes.batches", "to_json")
def batches(t: Tables, tenant: str) -> Answers:
    found = sorted(t.batches.where(tenant=tenant), key=attrgetter("held"))
    return [(schemas()["batches"].text_of(row),) for row in found]


@statement("brakes.entities_of_batches", "entity")
def entities_of_batches(t: Tables, tenant: str, names: Collection[str]) -> Answers:
    found = (row.entity for row in t.records.where(tenant=tenant) if row.batch in names)
    return [(name,) for name in dict.fromkeys(found)]


@statement("brakes.removals", "vendor category external_id entity gone kind parts")
def removals(t: Tables, tenant: str, categories: Collection[str]) -> Answers:
    gone = [
        row for row in t.records.where(tenant=tenant) if row.gone is not None and row.category in categories
    ]
    return [
        (row.vendor, row.category, row.external_id, row.entity, row.gone, row.kind, row.parts)
        for row in sorted(gone, key=attrgetter("gone"))
    ]


@statement("brakes.asked_for", "vendor category records")
def asked_for(t: Tables, tenant: str) -> Answers:
    asked = Counter(
        (row.vendor, row.category)
        for row in t.records.where(tenant=tenant)
        if row.need is not None
        and (entity := t.entities.get(tenant, row.entity)) is not None
        and entity.linked
    )
    return [(*kind, count) for kind, count in asked.items()]


@statement("brakes.linked_count", "count")
def linked_count(t: Tables, tenant: str, categories: Collection[str]) -> Answers:
    rows = t.entities.where(tenant=tenant, linked=True)
    return [(sum(row.category in categories for row in rows),)]
