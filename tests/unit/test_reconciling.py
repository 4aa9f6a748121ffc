"""Why two sides differ: each class of a difference, and what follows from it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from daemon.cli.reconciling import progress
from daemon.domain.events import CommandHeld, CommandIssued, EntityHeld, Half, RecordsLinked, Want
from daemon.domain.fields import same
from daemon.domain.settings import (
    Limits,
    PropstreetSettings,
    Secret,
    SyncSettings,
    TenantSettings,
    VitecSettings,
)
from daemon.mappings.lens import Options
from daemon.policies.brakes import Brakes
from daemon.policies.deciding import decide
from daemon.policies.plan import Context
from daemon.policies.reconciling import (
    WHOLE,
    Audited,
    Difference,
    corrected,
    counted,
    explain,
    news,
    notable,
    sources,
)
from daemon.reconcile.survey import Step, least_seconds
from projections.entity import Attempt, Base, Blocked, Entity, Head, Hold, Pending, Shadow, Side
from projections.fold import rules_of
from projections.merge import Observation, observe

OPTIONS = Options()
NOON = datetime(2026, 5, 18, 12, tzinfo=UTC)


def alike(field: str, a: Any, b: Any) -> bool:
    return same(field, a, b, "SE")


def context(**other: Any) -> Context:
    plain: dict[str, Any] = {"ready": True}
    return Context(SyncSettings(), OPTIONS, "live", UUID(int=1), {}, **{**plain, **other})


def side(record: str, first: bool = False, position: int = 1, **fields: Any) -> Side:
    shadow = {field: Shadow(value, None, position) for field, value in fields.items()}
    return Side(record, seen=1, shadow=shadow, head=Head(event=position, ended=position), first=first)


def pair(vitec: dict[str, Any], propstreet: dict[str, Any], *, agreed: bool = True, **other: Any) -> Entity:
    """A linked contact; both sides have moved since the base unless `agreed` says that they have not."""
    there, here = side("ADR1", position=3, **vitec), side("77", position=4, **propstreet)
    there.reference, here.reference = None, "ADR1"
    base = {
        field: Base(Half(vitec[field], 3), Half(propstreet[field], 4))
        for field in vitec.keys() & propstreet.keys()
        if agreed
    }
    return Entity(
        "con-1",
        "contact",
        seen=1,
        sides={"vitec": there, "propstreet": here},
        base=base,
        linked=5,
        rule="email",
        **other,
    )


def moved(entity: Entity, vendor: str = "vitec", field: str = "last_name") -> Entity:
    """A side has moved since both agreed."""
    base = entity.base[field]
    value = base.half("propstreet" if vendor == "vitec" else "vitec").value
    entity.base[field] = msgspec.structs.replace(base, **{vendor: Half(value, 1)})
    return entity


def different(**other: Any) -> Entity:
    """Vitec has another last name than Propstreet, and that is not agreed."""
    return moved(pair({"last_name": "Ås"}, {"last_name": "Berg"}, **other))


def write(entity: Entity) -> CommandIssued:
    [(_, command)] = [
        event for event in decide(entity, context()).events if isinstance(event[1], CommandIssued)
    ]
    assert isinstance(command, CommandIssued)
    return command


def only(audited: Audited, known: Context | None = None) -> Difference:
    [row] = explain(audited, known or context())
    return row


def test_a_pair_that_is_the_same_has_no_difference() -> None:
    entity = pair({"last_name": "Berg"}, {"last_name": "Berg"})
    assert not notable(entity, context())
    assert explain(Audited(entity), context()) == []


def test_what_the_log_did_not_know_of_is_a_lost_webhook_and_is_written() -> None:
    entity = different()
    row = only(Audited(entity, {"vitec": ("last_name",)}, (write(entity),)))
    assert (row.kind, row.vendor, row.field) == ("lost_webhook", "vitec", "last_name")
    assert (row.vitec, row.propstreet, row.then, row.target, row.value) == (
        "Ås",
        "Berg",
        "write at propstreet",
        "propstreet",
        "Ås",
    )


def test_what_the_log_did_not_know_of_is_told_where_nothing_follows_as_well() -> None:
    entity = pair({"last_name": "Ås"}, {"last_name": "Ås"})
    row = only(Audited(entity, {"vitec": ("last_name",), "propstreet": ()}))
    assert (row.kind, row.then) == ("lost_webhook", "on record")


def test_what_the_log_knew_is_drift() -> None:
    entity = different()
    row = only(Audited(entity, planned=(write(entity),)))
    assert (row.kind, row.vendor, row.then) == ("drift", "propstreet", "write at propstreet")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"need": 9}, "a read is due"),
        ({"attempts": [Attempt("c", 6, {})]}, "a write is under way"),
        ({"attempts": [Attempt("c", 6, {}, state="open")]}, "a write is under way"),
    ],
)
def test_a_read_that_is_due_or_a_write_that_is_under_way_is_in_flight(change: Any, reason: str) -> None:
    entity = different()
    for name, value in change.items():
        setattr(entity.sides["propstreet"], name, value)
    row = only(Audited(entity))
    assert (row.kind, row.reason, row.then) == ("in_flight", reason, "")


def test_a_command_that_waits_is_in_flight() -> None:
    entity = different()
    command = write(entity)
    entity.pending["propstreet"] = Pending(command.command, command.want, "77")
    row = only(Audited(entity))
    assert (row.kind, row.reason) == ("in_flight", "a command waits")


@pytest.mark.parametrize(
    ("blocked", "reasons", "kind", "reason"),
    [
        (Blocked("c", 3), {"c": "too_long"}, "not_writable", "too_long"),
        (Blocked("c", 3), {"c": "not_writable"}, "not_writable", "not_writable"),
        (Blocked("c", 3), {"c": "unmapped"}, "not_writable", "unmapped"),
        (Blocked("c", 3), {"c": "unknown_outcome"}, "held", "unknown_outcome"),
        (Blocked("c", 3), {"c": "refused"}, "held", "refused"),
        (Blocked("c", 3, observed=True), {"c": "observe"}, "held", "observe"),
        (Blocked("c", 3, discarded=True), {"c": "too_long"}, "held", "operator"),
    ],
)
def test_a_field_that_is_not_written_says_why(blocked: Blocked, reasons: Any, kind: str, reason: str) -> None:
    entity = different(blocked={"propstreet": {"last_name": blocked}})
    row = only(Audited(entity, reasons=reasons))
    assert (row.kind, row.reason, row.then) == (kind, reason, "")


def test_a_hold_is_told_with_its_reason() -> None:
    entity = different(hold=Hold("oscillation", "mark", 9))
    row = only(Audited(entity))
    assert (row.kind, row.reason) == ("held", "oscillation")


def test_what_a_brake_holds_is_held() -> None:
    entity = different()
    entity.sides["vitec"].batch = "bat-1"
    row = only(Audited(entity), context(brakes=Brakes(frozenset(("bat-1",)))))
    assert (row.kind, row.reason) == ("held", "brake")


def test_what_a_brake_is_to_hold_is_told_so_and_nothing_is_written() -> None:
    entity = different()
    row = only(Audited(entity, {"vitec": ("last_name",)}, batch="bat-1"))
    assert (row.kind, row.then, row.target) == ("lost_webhook", "held by the brake", None)


def test_a_write_that_cannot_be_done_is_not_writable_and_becomes_a_hold() -> None:
    entity = different()
    want = {"last_name": Want("Ås", "vitec", "Ås", 3, None)}
    held = CommandHeld("h", "con-1", "contact", "propstreet", "77", want, "too_long", "shorten it")
    row = only(Audited(entity, planned=(held,)))
    assert (row.kind, row.reason, row.then) == ("not_writable", "too_long", "hold (too_long)")


def test_a_form_of_a_vendors_own_that_both_agreed_on_is_no_work() -> None:
    entity = pair({"last_name": "Ås"}, {"last_name": "Berg"})
    row = only(Audited(entity))
    assert (row.kind, row.reason, row.vendor) == ("not_writable", "kept in another form", "propstreet")


def test_what_a_corrected_mapping_reads_otherwise_is_told_apart_from_a_vendors_form() -> None:
    entity = pair({"last_name": "Ås"}, {"last_name": "Berg"})
    assert corrected(entity, "vitec", alike) == ()
    entity.base["last_name"] = Base(Half("Berg", 3), Half("Berg", 4))
    assert corrected(entity, "vitec", alike) == ("last_name",)
    assert corrected(entity, "propstreet", alike) == ()


def test_a_record_that_waits_for_its_release_is_held() -> None:
    entity = Entity("con-1", "contact", sides={"vitec": side("ADR1", first=True, last_name="Ås")})
    assert not notable(entity, context())
    row = only(Audited(entity))
    assert (row.kind, row.reason, row.field) == ("held", "waiting for its release", WHOLE)


def test_a_record_that_was_linked_by_nobody_is_linked() -> None:
    entity = Entity("con-1", "contact", sides={"vitec": side("ADR1", last_name="Ås")})
    link = RecordsLinked("con-1", "ADR1", "77", "email")
    row = only(Audited(entity, planned=(link,)))
    assert (row.kind, row.then) == ("drift", "link vitec:ADR1 and propstreet:77")
    assert sources(Audited(entity, planned=(link,))) == {"vitec"}


def test_a_new_record_is_told_once_with_all_that_it_is_made_of() -> None:
    entity = Entity("con-1", "contact", sides={"vitec": side("ADR1", last_name="Ås")})
    want = {"last_name": Want("Ås", "vitec", "Ås", 1, None), "email": Want(None, "vitec", None, 1, None)}
    made = CommandIssued("c", "con-1", "contact", "propstreet", None, want)
    row = only(Audited(entity, {"vitec": (WHOLE,)}, (made,)))
    assert (row.kind, row.then, row.target) == ("lost_webhook", "create at propstreet", "propstreet")
    assert row.value == {"last_name": "Ås", "email": None}


def test_candidates_are_held_for_the_operator() -> None:
    entity = Entity("con-1", "contact", sides={"vitec": side("ADR1", last_name="Ås")})
    held = EntityHeld("con-1", "ambiguous", "two", "mark")
    assert only(Audited(entity, planned=(held,))).then == "hold (ambiguous)"
    entity.hold = Hold("ambiguous", "mark", 9)
    row = only(Audited(entity))
    assert (row.kind, row.reason, row.then) == ("held", "ambiguous", "")


def test_what_joins_others_waits_for_them() -> None:
    entity = Entity("psp-1", "prospect", sides={"vitec": side("OBJ1:ADR1", classification="interested")})
    row = only(Audited(entity))
    assert (row.kind, row.reason) == ("held", "waits for what it joins")


def test_a_closed_link_is_not_compared() -> None:
    entity = different(tombstone="removed at vitec")
    assert not notable(entity, context())
    row = only(Audited(entity))
    assert (row.kind, row.reason, row.field) == ("held", "tombstone", WHOLE)


def test_what_is_not_synced_is_no_difference() -> None:
    off = msgspec.structs.replace(context(), sync=SyncSettings(contacts="off"))
    entity = different()
    assert not notable(entity, off)
    assert explain(Audited(entity), off) == []


def test_news_names_what_the_log_had_otherwise() -> None:
    before = side("77", last_name="Berg", phone="0701740605")
    after = side("77", last_name="Ås", phone="+46701740605")  # the same phone
    assert news(before, after, alike) == ("last_name",)
    assert news(None, after, alike) == (WHOLE,)
    after.gone, after.flags = 9, ("deceased",)
    assert news(before, after, alike) == ("last_name", "removed", "flags")


def test_differences_are_counted_by_class_and_category() -> None:
    rows = [Difference("vitec", c, "x", "f", k) for c, k in (("contact", "drift"), ("contact", "drift"))]  # type: ignore[arg-type]
    rows.append(Difference("vitec", "company", "x", "f", "in_flight"))
    assert counted(rows) == {"in_flight": {"company": 1}, "drift": {"contact": 2}}


@pytest.mark.parametrize(
    ("calls", "seconds"), [(20, 0), (500, 24), (2000, 180), (10_000, 3600), (20_000, 7200)]
)
def test_the_estimate_is_what_the_limits_let_through(calls: int, seconds: float) -> None:
    limits = Limits(per_second=20, per_minute=600, per_hour=10_800, concurrency=5)
    assert least_seconds(limits, calls) == seconds
    assert least_seconds(Limits(per_second=0, per_minute=0, per_hour=0, concurrency=5), calls) == 0


@pytest.mark.parametrize(
    ("anew", "agreed_as", "position"),
    [(True, "Berg", 9), (False, "Berg", 3), (True, "Ås", 3)],
)
def test_only_an_audits_read_turns_a_corrected_reading_into_a_change(
    anew: bool, agreed_as: str, position: int
) -> None:
    entity = pair({"last_name": "Ås"}, {"last_name": "Berg"})
    entity.base["last_name"] = Base(Half(agreed_as, 3), Half("Berg", 4))
    read = Observation(9, NOON, {"last_name": "Ås"}, None, started=8, anew=anew)
    observe(entity, entity.sides["vitec"], read, rules_of("vitec", "contact", OPTIONS))
    assert entity.sides["vitec"].shadow["last_name"] == Shadow("Ås", None, position)
    assert bool(decide(entity, context()).events) == (position == 9)


def test_a_terminal_is_told_how_long_it_takes_at_least(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def read() -> None: ...

    limits = Limits(per_second=20, per_minute=600, per_hour=10_800, concurrency=5)
    vitec = VitecSettings(customer_id="M1", username="u", password=Secret("p"), limits=limits)
    propstreet = PropstreetSettings(client_id="c", client_secret=Secret("s"), limits=limits)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress(TenantSettings(name="oslo", vitec=vitec, propstreet=propstreet)) as (report, estimate):
        assert report is not None
        assert estimate is not None
        estimate([Step("vitec", 2000, read), Step("propstreet", 3, read)])
        report("vitec", 10, 2000)
    words = capsys.readouterr().err
    assert "about 2000 calls at Vitec and 3 at Propstreet: 3 minutes at least" in " ".join(words.split())
