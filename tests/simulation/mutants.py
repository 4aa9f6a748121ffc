"""Mutants: each takes one mechanism of the merge out, and some story must then go wrong.

A mechanism whose removal nobody notices is dead weight. `make mutants` looks, for each, for the first seed that notices.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, Final
from unittest.mock import patch

import msgspec

from daemon import react
from daemon.deliver import deliverer
from daemon.deliver.propstreet import PropstreetTarget
from daemon.deliver.target import Met, Moved, Write, ready, values
from daemon.deliver.vitec_connect import VitecConnectTarget
from daemon.domain.events import Half, RecordsUnlinked, reading_of
from daemon.domain.streams import VITEC, derived_id, other
from daemon.domain.windows import Window
from daemon.incarnation import Keeper
from daemon.ingest.subscriptions import SubscriptionKeeper
from daemon.mappings import lens
from daemon.mappings.lens import Lens
from daemon.policies import linking, syncing
from daemon.policies.failing import Stuck
from daemon.processor import Tenant
from daemon.storage import log
from daemon.storage.leases import Lease
from daemon.vendors.propstreet.client import PropstreetClient
from projections import fold, merge, outbox
from projections.entity import Base, Entity, Pending, Shadow, Side
from projections.fold import payload_of
from tests.unit import pair

Taken = Callable[[], AbstractContextManager[Any]]


def _put(place: Any, name: str, instead: Any) -> AbstractContextManager[Any]:
    return patch.object(place, name, instead)


def base_on_success() -> AbstractContextManager[Any]:
    """A write that succeeded does not become the base."""
    original = merge._succeed

    def succeed(entity: Entity, side: Side, *rest: Any) -> None:
        before = dict(entity.base)
        original(entity, side, *rest)
        entity.base = before

    return _put(merge, "_succeed", succeed)


def base_as_a_pair() -> AbstractContextManager[Any]:
    """The base takes what the other side holds by now, not what the write was decided on."""
    original = merge._succeed

    def succeed(entity: Entity, side: Side, o: Any, attempt: Any, rules: Any) -> None:
        original(entity, side, o, attempt, rules)
        far = entity.sides.get(other(rules.vendor))
        for field in attempt.want.keys() & entity.base.keys():
            held = far.shadow.get(field) if far is not None else None
            if held is not None:
                here, there = entity.base[field].half(rules.vendor), Half(held.value, held.position)
                entity.base[field] = Base(here, there) if rules.vendor == VITEC else Base(there, here)

    return _put(merge, "_succeed", succeed)


def change_by_position() -> AbstractContextManager[Any]:
    """A side changed if its value is another one than in the base."""

    def moved(base: Base, vendor: str, held: Shadow) -> bool:
        return held.value != base.half(vendor).value

    return _put(Base, "moved", moved)


def seal() -> AbstractContextManager[Any]:
    """Two sides that mean the same never become the base."""
    return _put(syncing, "sealable", lambda *_: {})


def seal_after_reads() -> AbstractContextManager[Any]:
    """Two sides that mean the same become the base at once."""
    original = merge.sealable
    always = {"vitec": 1 << 62, "propstreet": 1 << 62}
    return _put(syncing, "sealable", lambda entity, alike, _: original(entity, alike, always))


def order_by_read_interval() -> AbstractContextManager[Any]:
    """A read counts in the order of its arrival, whenever it was sent."""

    def overlaps(side: Side, o: Any, started: int) -> bool:
        return any(a.state == "open" and started < a.unknown for a in side.attempts)

    return _put(merge, "_read_overlaps", overlaps)


def order_of_pushes() -> AbstractContextManager[Any]:
    """A push that is not later than what is known is believed."""
    return _put(merge, "_push_is_doubtful", lambda side, o: False)


def needs() -> AbstractContextManager[Any]:
    """A read that was under way when a hint came meets it."""
    original = merge._settle

    def settle(side: Side, o: Any) -> None:
        original(side, o)
        if o.started is not None:
            side.need = None

    return _put(merge, "_settle", settle)


def open_attempts() -> AbstractContextManager[Any]:
    """A write of unknown outcome counts as not done."""

    def lose(side: Side, attempt: Any, position: int, at: Any) -> None:
        side.attempts = [a for a in side.attempts if a is not attempt]
        side.need, side.kept = position, []

    stack = ExitStack()
    for room in (merge, outbox):
        stack.enter_context(_put(room, "lose_sight", lose))
    return stack


def doubt() -> AbstractContextManager[Any]:
    """What may have been overwritten unseen is not put on record."""
    original = merge.observe

    def observe(entity: Entity, side: Side, *rest: Any) -> None:
        original(entity, side, *rest)
        side.doubt.clear()

    stack = ExitStack()
    for room in (merge, fold):
        stack.enter_context(_put(room, "observe", observe))
    return stack


def recent_attempts() -> AbstractContextManager[Any]:
    """A read settles an attempt for good."""
    return _put(merge, "_is_recent", lambda attempt, o: False)


def etag_of_the_decision() -> AbstractContextManager[Any]:
    """A PATCH goes out without a condition."""
    original = PropstreetClient.patch

    async def unconditional(
        self: PropstreetClient, category: str, record: str, body: Any, etag: str | None, **rest: Any
    ) -> bytes:
        return await original(self, category, record, body, None, **rest)

    return _put(PropstreetClient, "patch", unconditional)


def compare_at_vitec() -> AbstractContextManager[Any]:
    """Vitec's record is written as it was decided on, and not read right before."""
    original = VitecConnectTarget.look

    async def look(
        self: VitecConnectTarget, at: Tenant, entity: Entity, pending: Pending
    ) -> Write | Moved | Met | Stuck:
        if pending.record is None or entity.category not in ("contact", "company"):
            return await original(self, at, entity, pending)
        async with at.connection() as conn:
            event = await log.at(conn, at.name, entity.sides[VITEC].head.event)
        assert event is not None
        present = payload_of(event, reading_of(event))
        return ready(
            lens(VITEC, entity.category).put(values(pending), present, at.options, identity=pending.record)
        )

    return _put(VitecConnectTarget, "look", look)


def still_due() -> AbstractContextManager[Any]:
    """A queued command goes out, whatever has moved since it was decided."""
    stack = ExitStack()
    for room in (deliverer, pair):
        stack.enter_context(_put(room, "still_due", lambda *_: True))
    return stack


def declared_reshapes() -> AbstractContextManager[Any]:
    """A value counts as kept only if it is read back as it was written."""
    original = fold.rules_of

    def rules(*given: Any) -> merge.Rules:
        return msgspec.structs.replace(
            original(*given), kept=lambda field, wanted, read: wanted == read, same=lambda field, a, b: a == b
        )

    return _put(fold, "rules_of", rules)


def event_ids_with_predecessor() -> AbstractContextManager[Any]:
    """A content that was there before is the same event again."""
    original = derived_id
    return _put(log, "derived_id", lambda *parts: original(*parts[:2], *parts[3:]))


def expected_versions() -> AbstractContextManager[Any]:
    """A decision is appended, and a write sent, whatever has happened since its basis was read."""
    stack = ExitStack()
    for room in (react, deliverer):
        stack.enter_context(_put(room, "expected", lambda _: {}))
    return stack


def lookup_before_create() -> AbstractContextManager[Any]:
    """A record is created without looking whether it is there."""

    def blind(vendor: str) -> Callable[..., Any]:
        async def look_for(self: Any, at: Tenant, entity: Entity, pending: Pending) -> Write:
            mapping = lens(vendor, entity.category)
            return Write(mapping.put(values(pending, mapping.on_create), None, at.options))

        return look_for

    stack = ExitStack()
    for target, vendor in ((VitecConnectTarget, "vitec"), (PropstreetTarget, "propstreet")):
        stack.enter_context(_put(target, "_look_for", blind(vendor)))
    return stack


def serial_creates() -> AbstractContextManager[Any]:
    """Creates go out side by side."""
    return _put(deliverer, "SERIAL", frozenset())


def creates_wait_for_a_poll() -> AbstractContextManager[Any]:
    """Creates go out before the target was seen."""
    return _put(deliverer, "LOOKED_FOR", frozenset())


def tombstones() -> AbstractContextManager[Any]:
    """A link that was closed leaves nothing behind."""
    original = fold.Entities._evolve_decision

    def evolve(self: Any, event: Any, entity: Entity, decision: Any, side: Side | None) -> None:
        if isinstance(decision, RecordsUnlinked):
            decision = msgspec.structs.replace(decision, tombstone=False)
        original(self, event, entity, decision, side)

    return _put(fold.Entities, "_evolve_decision", evolve)


def class_equality() -> AbstractContextManager[Any]:
    """A value is written whenever it is another text, also when it means the same there."""
    original = merge.merge

    def literal(entity: Entity, field: str, _: Any, *rest: Any) -> merge.Verdict:
        return original(entity, field, lambda _, a, b: a == b, *rest)

    stack = ExitStack()
    stack.enter_context(_put(syncing, "merge", literal))
    stack.enter_context(_put(Lens, "_settled", lambda *_: False))
    return stack


def match_rivals() -> AbstractContextManager[Any]:
    """Of several records that may be meant, the first is taken."""
    return _put(linking, "_rivals", lambda *_: ())


def incarnation() -> AbstractContextManager[Any]:
    """The commands of a restored log get the ids that were used before."""
    return _put(
        syncing,
        "command_id",
        lambda _, entity, target: str(derived_id(entity.id, target, str(entity.version))),
    )


def mark_beside_the_database() -> AbstractContextManager[Any]:
    """A restored log is not told from the one that was known."""

    async def recognise(_: Keeper) -> None:
        return None

    async def fits(_: Keeper, __: Any) -> bool:
        return True

    stack = ExitStack()
    stack.enter_context(_put(Keeper, "recognise", recognise))
    stack.enter_context(_put(Keeper, "_fits", fits))
    return stack


def limiter() -> AbstractContextManager[Any]:
    """Calls leave at their pace, however many have left."""
    stack = ExitStack()
    stack.enter_context(_put(Window, "delay", lambda *_: 0.0))
    stack.enter_context(_put(Window, "room", lambda window, *_: window.limit))
    return stack


def fence() -> AbstractContextManager[Any]:
    """Whoever had the tenant goes on with it, whoever has it now."""

    async def check(_: Lease, __: Any) -> None:
        return None

    return _put(Lease, "check", check)


def subscription_care() -> AbstractContextManager[Any]:
    """Nobody looks after our webhook."""

    async def tick(_: SubscriptionKeeper) -> bool:
        return False

    return _put(SubscriptionKeeper, "tick", tick)


def kept_pushes() -> AbstractContextManager[Any]:
    """A push that arrives while a write is under way is only a reason to read."""

    def release(entity: Entity, side: Side, rules: Any) -> None:
        if side.kept:
            side.need, side.kept = side.kept[-1].position, []

    stack = ExitStack()
    for room in (merge, fold):
        stack.enter_context(_put(room, "release_kept", release))
    return stack


def inherited_since() -> AbstractContextManager[Any]:
    """What we wrote is as old as our write, not as the edit that it came from."""
    original = merge._succeed

    def succeed(entity: Entity, side: Side, o: Any, attempt: Any, rules: Any) -> None:
        original(entity, side, o, attempt, rules)
        for field in attempt.want.keys() & side.shadow.keys():
            side.shadow[field] = msgspec.structs.replace(side.shadow[field], since=o.recorded_at)

    return _put(merge, "_succeed", succeed)


MUTANTS: Final[dict[str, Taken]] = {
    each.__name__: each
    for each in (
        base_on_success,
        base_as_a_pair,
        change_by_position,
        seal,
        seal_after_reads,
        order_by_read_interval,
        order_of_pushes,
        needs,
        open_attempts,
        doubt,
        recent_attempts,
        etag_of_the_decision,
        compare_at_vitec,
        still_due,
        declared_reshapes,
        event_ids_with_predecessor,
        expected_versions,
        lookup_before_create,
        serial_creates,
        creates_wait_for_a_poll,
        tombstones,
        class_equality,
        incarnation,
        mark_beside_the_database,
        limiter,
        fence,
        subscription_care,
        kept_pushes,
        inherited_since,
        match_rivals,
    )
}
"""Every mechanism that can be taken out, by name."""


STORIES: Final = {
    "inherited_since": "test_merge_stories.py::test_11_what_we_wrote_is_no_later_than_the_edit_that_it_came_from",
    "still_due": "test_merge_stories.py::test_9_a_queued_command_is_not_sent_when_its_source_went_and_came_back",
    "match_rivals": "test_linking.py::test_several_candidates_are_held_whichever_of_them_is_looked_at",
    "seal_after_reads": "test_merge_stories.py::test_4_two_sides_agree_only_when_each_was_read_after_the_others_change",
    "kept_pushes": "test_named_stories.py::test_an_echo_that_arrives_before_our_response_costs_no_read",
}
"""Of what no seed notices: the test in tests/unit that tells the story which needs it."""


@contextmanager
def mutated(name: str | None) -> Iterator[None]:
    """Run with a mechanism taken out; with none, as it is."""
    with MUTANTS[name]() if name is not None else nullcontext():
        yield
