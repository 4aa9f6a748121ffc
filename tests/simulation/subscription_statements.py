"""What the statements of `subscriptions.sql` do."""

from datetime import datetime
from operator import attrgetter
from typing import Any

from tests.simulation.registry import Answers, Tables, statement
from tests.simulation.tables import at

COUNTED = ("contact", "company", "project")


@statement("subscriptions.secrets", "webhook secret")
def secrets(t: Tables, tenant: str) -> Answers:
    rows = sorted(t.credentials.where(tenant=tenant), key=attrgetter("webhook"))
    rows.sort(key=attrgetter("made_at"), reverse=True)
    return [(row.webhook, row.secret) for row in rows]


@statement("subscriptions.keep_secret")
def keep_secret(t: Tables, tenant: str, webhook: str, secret: str, made_at: datetime) -> None:
    t.credentials.put(tenant=tenant, webhook=webhook, secret=secret, made_at=made_at)


@statement(
    "subscriptions.healths",
    "vendor state since looked_at sound_at heard_at mended_at mends unheard position",
)
def healths(t: Tables, tenant: str) -> Answers:
    rows = sorted(t.subscriptions.where(tenant=tenant), key=attrgetter("vendor"))
    return [tuple(getattr(row, name) for name in row.__struct_fields__[1:]) for row in rows]


@statement("subscriptions.keep_health")
def keep_health(t: Tables, tenant: str, *values: Any) -> None:
    names = t.subscriptions.schema.columns[1:]
    t.subscriptions.put(tenant=tenant, **dict(zip(names, values, strict=True)))


@statement("subscriptions.deliveries", "heard_at polled")
def deliveries(t: Tables, tenant: str, vendor: str, after: int, until: int, since: datetime) -> Answers:
    came = [
        (at(row.meta, "via"), row)
        for place in range(after + 1, until + 1)
        if (row := t.events.get(tenant, place)) is not None and row.origin == vendor and row.meta is not None
    ]
    polled = sum(
        via == "poll" and row.occurred_at > since and row.stream.partition(":")[0] in COUNTED
        for via, row in came
    )
    return [(max((row.recorded_at for via, row in came if via == "webhook"), default=None), polled)]
