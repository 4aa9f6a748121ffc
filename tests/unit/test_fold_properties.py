"""Properties of the fold and of the decisions, over histories in which people edit and the network misbehaves."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.domain.events import ConflictResolved, Event
from daemon.domain.fields import Value, same
from daemon.domain.streams import PROPSTREET, VENDORS, VITEC, entity_id
from daemon.mappings.lens import Options
from projections.entity import Entity
from projections.views import ENTITY_VIEWS, VIEWS, Change, Fold
from tests.unit.pair import ANNA, FIRST, OPTIONS, TENANT, Glance, Pair, StaleError, Writing, linked

NAMES = ("Anna", "Anne", "Anni")
TAGS = ((), ("investor",), ("investor", "vip"), ("buyer",))
FIELDS: tuple[tuple[str, Sequence[Value]], ...] = (
    ("first_name", NAMES),
    ("tags", TAGS),
    ("strategy", ("Offices", "Housing")),
)

Step = tuple[str, str, int, int, int]
"""What happens, at which vendor, to which field, which value, and how far the vendor's clock is off (seconds)."""

HAPPENINGS = (
    "rest",
    *(
        "edit",
        "edit",
        "edit",
        "read",
        "read",
        "decide",
        "decide",
        "glance",
        "arrive",
        "push",
        "pushed",
        "hint",
        "fetch",
    ),
    *("attempt", "leave", "succeed", "lose", "fail", "wait", "restore", "rewind"),
)


def steps(what: Sequence[str] = HAPPENINGS, most: int = 40) -> st.SearchStrategy[list[Step]]:
    """A history to be lived."""
    step = st.tuples(
        st.sampled_from(what),
        st.sampled_from(VENDORS),
        st.integers(0, len(FIELDS) - 1),
        st.integers(0, 3),
        st.sampled_from([0, 0, 0, -3600, -1, 20]),
    )
    return st.lists(step, min_size=most // 3, max_size=most)


def settled() -> Pair:
    """A pair with nothing to do."""
    return linked(strategy="Offices")


@dataclass
class Life:
    """A pair that lives through steps. `fresh` are people's edits that the other side has not held yet."""

    pair: Pair
    glances: list[Glance] = field(default_factory=list)
    pushes: list[bytes] = field(default_factory=list)
    writing: Writing | None = None
    left: bool = False
    fresh: dict[tuple[str, str], Value] = field(default_factory=dict)
    lost: list[tuple[str, str, Value]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.start = self.pair.head
        self.notice()

    def live(self, steps: Sequence[Step]) -> "Life":
        """One step after the other; what makes no sense now is left out."""
        for what, vendor, which, value, skew in steps:
            getattr(self, what)(vendor, which, value, skew)
            self.notice()
        return self

    def notice(self) -> None:
        """Where both sides hold the same, nobody's edit is in danger."""
        for name, _ in FIELDS:
            v, p = self.pair.values(name)
            if same(name, v, p):
                self.fresh.pop((VITEC, name), None)
                self.fresh.pop((PROPSTREET, name), None)

    def rest(self, *_: Any) -> None:
        """Nothing happens."""

    def edit(self, vendor: str, which: int, value: int, skew: int) -> None:
        if vendor == VITEC and self.writing is not None and self.writing.target == VITEC and not self.left:
            return  # the window that Vitec leaves open: nothing can be promised there
        name, values = FIELDS[which]
        new = values[value % len(values)]
        old = self.pair.desks[vendor].value(name)
        self.pair.desks[vendor].edit(
            at=self.pair.later(1) + timedelta(seconds=skew), **dict[str, Any]({name: new})
        )
        if same(name, new, self.pair.shadow(vendor, name).value):
            self.fresh.pop((vendor, name), None)  # there and back between two reads: nobody can see that
        elif not same(name, new, old):  # nor an edit to what is there already
            self.fresh[vendor, name] = new

    def read(self, vendor: str, *_: int) -> None:
        self.pair.read(vendor)

    def glance(self, vendor: str, *_: int) -> None:
        self.glances.append(self.pair.glance(vendor))

    def arrive(self, vendor: str, which: int, value: int, _: int) -> None:
        if self.glances:
            self.glances.pop(value % len(self.glances)).arrive(always=which == 0)

    def push(self, *_: Any) -> None:
        self.pushes.append(self.pair.webhook())

    def pushed(self, vendor: str, which: int, value: int, _: int) -> None:
        if self.pushes:
            self.pair.arrive(self.pushes.pop(value % len(self.pushes)))

    def hint(self, *_: Any) -> None:
        self.pair.hint()

    def fetch(self, vendor: str, *_: int) -> None:
        self.pair.fetch(vendor)

    def decide(self, *_: Any) -> None:
        self.pair.decide()

    def restore(self, vendor: str, which: int, value: int, _: int) -> None:
        """An operator brings back what lost, though a write may be under way."""
        lost = self.pair.told(ConflictResolved)
        if lost:
            self.pair.restore(lost[-1 - value % len(lost)])

    def wait(self, vendor: str, which: int, value: int, _: int) -> None:
        self.pair.later(40 * value)

    def attempt(self, vendor: str, *_: int) -> None:
        if self.writing is None:
            self.writing, self.left = self.pair.attempt(vendor), False

    def leave(self, *_: Any) -> None:
        if self.writing is None or self.left:
            return
        before = dict(self.pair.desks[self.writing.target].rows[FIRST[self.writing.target]].fields)
        try:
            self.writing.leave()
        except StaleError:
            self.writing.fail(read_again=True)
            self.writing = None
            return
        self.left = True
        self._look_for_losses(self.writing.target, before)

    def succeed(self, *_: Any) -> None:
        self.leave()
        if self.writing is not None:
            self.writing.succeed()
            self.writing = None

    def lose(self, *_: Any) -> None:
        if self.writing is not None:
            self.writing.lose()
            self.writing = None

    def fail(self, *_: Any) -> None:
        if self.writing is not None and not self.left:
            self.writing.fail()
            self.writing = None

    def rewind(self, vendor: str, which: int, value: int, _: int) -> None:
        """Of what happened since the start the log forgets all, a part, or nothing; nothing is under way any more."""
        since = self.pair.head - self.start
        self.pair.rewind(self.start + since * value // 3)
        self.glances, self.writing = [], None

    def end(self) -> "Life":
        """What is under way comes to an end; everything is read, decided and delivered."""
        self.succeed()
        for _ in range(12):
            head = self.pair.head
            self.pair.read()
            self.notice()
            self.pair.decide()
            if self.pair.head == head and not self.pair.entity.pending:
                return self
            for target in list(self.pair.entity.pending):
                self.attempt(target)
                self.succeed()
        raise AssertionError("it never comes to rest")

    def _look_for_losses(self, target: str, before: dict[str, Value]) -> None:
        """Our write took the place of an edit that the other side never held, and that no conflict tells of."""
        told = {(c.field, c.loser_value) for c in self.pair.told(ConflictResolved)}
        for name, _ in FIELDS:
            old, new = before.get(name), self.pair.desks[target].value(name)
            typed = (target, name) in self.fresh and same(name, old, self.fresh[target, name])
            if typed and name != "tags" and not same(name, old, new) and (name, old) not in told:
                self.lost.append((target, name, old))


# The tables that a fold fills

Tables = dict[str, dict[bytes, Any]]
_KEYS = {"aliases": "alias", "commands": "command", "conflicts": "conflict", "batches": "batch"}


def empty() -> Tables:
    return {view: {} for view in VIEWS}


def apply(tables: Tables, change: Change) -> None:
    """What the projector does with a page: rows go, rows come; each is encoded and decoded on its way."""
    for view, keys in change.delete.items():
        name = "entity" if view in ENTITY_VIEWS else _KEYS[view]
        tables[view] = {code: row for code, row in tables[view].items() if getattr(row, name) not in keys}
    for view, rows in change.insert.items():
        for row in rows:
            code = msgspec.json.encode(row, order="sorted")
            tables[view][code] = msgspec.json.decode(code, type=VIEWS[view])


def loaded(tables: Tables, options: Options) -> Fold:
    """A fold that goes on from what the tables hold."""
    fold = Fold(TENANT, options)
    for row in tables["entities"].values():
        fold.entities.add(msgspec.json.decode(msgspec.json.encode(row.state), type=Entity))
    fold.entities.aliases = {row.alias: row.entity for row in tables["aliases"].values()}
    fold.commands = {row.command: row for row in tables["commands"].values()}
    fold.batches = {row.batch: row for row in tables["batches"].values()}
    return fold


def folded(events: Sequence[Event], cuts: Sequence[int] = ()) -> dict[str, list[bytes]]:
    """The rows of every view after these events, folded in pages that end at the cuts."""
    tables = empty()
    edges = sorted({0, *(cut % (len(events) + 1) for cut in cuts), len(events)})
    for start, end in pairwise(edges):
        fold = loaded(tables, OPTIONS)
        fold.evolve(events[start:end])
        apply(tables, fold.change())
    return {view: sorted(rows) for view, rows in tables.items()}


@cache
def strangers() -> list[Event]:
    """Records on both sides that are not linked yet, two of which belong together."""
    pair = Pair()
    pair.vitec.add(**ANNA)
    pair.propstreet.add(**ANNA | {"first_name": "Ann"})
    pair.propstreet.add("790", **ANNA | {"email": "beata@example.se", "first_name": "Beata", "phone": None})
    pair.vitec.add("ADR2", **ANNA | {"email": None, "first_name": "A" * 40, "phone": None})
    pair.sync_up(rounds=30)
    return pair.events


@given(steps(), st.lists(st.integers(0, 200), max_size=6))
@settings(max_examples=60, deadline=None)
def test_folding_in_parts_is_folding_at_once(history: list[Step], cuts: list[int]) -> None:
    events = Life(settled()).live(history).pair.events
    assert folded(events, cuts) == folded(events)


@given(st.lists(st.integers(0, 200), max_size=10))
@settings(max_examples=30, deadline=None)
def test_links_creates_and_absorbed_ids_survive_any_page_split(cuts: list[int]) -> None:
    assert folded(strangers(), cuts) == folded(strangers())


def test_folding_event_by_event_is_folding_at_once() -> None:
    assert folded(strangers(), range(len(strangers()))) == folded(strangers())


@given(steps())
@settings(max_examples=40, deadline=None)
def test_a_replay_arrives_where_the_live_fold_did(history: list[Step]) -> None:
    pair = Life(settled()).live(history).pair
    again = Fold(TENANT, OPTIONS)
    again.evolve(pair.events)
    assert msgspec.json.encode(again.entities.by_id) == msgspec.json.encode(pair.fold.entities.by_id)
    assert again.commands == pair.fold.commands


@given(steps(), st.sampled_from(VENDORS))
@settings(max_examples=40, deadline=None)
def test_the_same_content_once_more_changes_nothing(history: list[Step], vendor: str) -> None:
    pair = Life(settled()).live(history).end().pair
    before = [msgspec.json.encode(part) for part in (pair.side(vendor).shadow, pair.entity.base)]
    assert pair.glance(vendor).arrive() == []
    pair.glance(vendor).arrive(always=True)
    pair.arrive(pair.webhook())
    assert [msgspec.json.encode(part) for part in (pair.side(vendor).shadow, pair.entity.base)] == before
    assert pair.decide() == []


@given(
    steps(
        ("rest", "edit", "edit", "read", "glance", "glance", "arrive", "arrive", "push", "pushed", "hint"),
        most=50,
    )
)
@settings(max_examples=80, deadline=None)
def test_any_order_of_arrival_ends_at_what_the_vendors_hold(history: list[Step]) -> None:
    life = Life(settled()).live(history)
    for number in range(len(life.glances)):
        life.arrive(VITEC, number, number, 0)
    while life.pushes:
        life.pushed(PROPSTREET, 0, len(life.pushes), 0)
    life.pair.read()
    for vendor in VENDORS:
        assert life.pair.side(vendor).need is None
        held = {name: life.pair.shadow(vendor, name).value for name, _ in FIELDS}
        assert held == {name: life.pair.desks[vendor].value(name) for name, _ in FIELDS}


@given(steps())
@settings(max_examples=150, deadline=None)
def test_a_pair_comes_to_rest_with_both_sides_the_same_and_then_decides_nothing(history: list[Step]) -> None:
    pair = Life(settled()).live(history).end().pair
    for name, _ in FIELDS:
        assert same(name, *pair.values(name))
        assert pair.agreed(name)
    assert pair.plan().events == ()
    assert pair.sync_up() == 0


@given(steps(most=60))
@settings(max_examples=150, deadline=None)
def test_no_edit_is_overwritten_in_silence(history: list[Step]) -> None:
    life = Life(settled()).live(history).end()
    assert life.lost == []


@given(steps())
@settings(max_examples=40, deadline=None)
def test_nothing_is_decided_while_anything_is_outstanding(history: list[Step]) -> None:
    pair = Life(settled()).live(history).pair
    outstanding = pair.entity.busy() or any(side.need is not None for side in pair.entity.sides.values())
    if outstanding:
        assert pair.plan().events == ()


@given(
    st.permutations(list(VENDORS)),
    st.permutations(list(VENDORS)),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
)
@settings(max_examples=24, deadline=None)
def test_who_is_seen_first_decides_nothing_but_the_id(
    made: list[str], seen: list[str], vitec: str, propstreet: str
) -> None:
    pair = Pair()
    names = {VITEC: vitec, PROPSTREET: propstreet}
    for vendor in made:
        pair.desks[vendor].add(**ANNA | {"first_name": names[vendor]})
        pair.later(60)
    pair.read(*seen)
    pair.sync_up()
    assert pair.values("first_name") == (names[made[1]],) * 2
    assert pair.entity.id == entity_id(TENANT, "contact", seen[0], FIRST[seen[0]])
