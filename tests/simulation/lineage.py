"""Who descends from whom: which values that people typed each version knows, and which were overwritten unseen.

A person's version knows itself and all that the version knew which it replaced: somebody looked at it and typed over
it. A daemon's version knows what the versions at the other side knew whose value it carried over: all of them that held
this value before, where there are several. What it replaced and did not know was overwritten unseen.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property

from msgspec import Struct

from tests.simulation.truth import Cell, Record, Truth, Version

Knows = frozenset[int]
"""Numbers of versions that were typed."""


class Overwritten(Struct, frozen=True):
    """A version of the daemon's that replaced what it did not know."""

    by: Version
    lost: tuple[Version, ...]


class Lineage:
    """The descent of every version, worked out once all has happened.

    `linked` are pairs (category, id at Vitec, id at Propstreet) that no reference joins: in one direction nobody
    writes one.
    """

    def __init__(self, truth: Truth, linked: Iterable[tuple[str, str, str]] = ()) -> None:
        self.truth = truth
        named = {(category, there) for category, _, there in truth.pairs}
        self.pairs = [*truth.pairs, *(pair for pair in linked if (pair[0], pair[2]) not in named)]
        self.knows: dict[int, Knows] = {}
        self.overwritten: list[Overwritten] = []
        self.invented: list[Version] = []
        """Values of the daemon's that nobody ever had at either side."""
        self.rounds: list[Version] = []
        """Values that the daemon wrote with nothing new in them, from a side where it had written them itself."""
        self.reverted: list[Overwritten] = []
        """Values that the daemon wrote over what had been made of these very values."""
        self._made_of: dict[int, Knows] = {}
        self._held: defaultdict[Cell, list[Version]] = defaultdict(list)
        for version in truth.versions:
            self._descend(version)
            self._held[version.cell].append(version)
            self._meet(version)

    def _descend(self, version: Version) -> None:
        replaced = self.knows[version.replaced] if version.replaced is not None else Knows()
        before = self._made_of[version.replaced] if version.replaced is not None else Knows()
        if version.who != "daemon":
            own = {version.n} if version.typed else set()
            self.knows[version.n] = replaced | own
            self._made_of[version.n] = before | own
            return
        sources = self.sources(version)
        if not sources and not self._is_given(version):
            self.invented.append(version)
        known = Knows().union(*(self.knows[source.n] for source in sources))
        lost = replaced - known
        if lost:
            ours = tuple(self.truth.version(n) for n in sorted(lost))
            self.overwritten.append(Overwritten(version, ours))
        earlier = Knows().union(*(self.knows[each.n] for each in self._held[version.cell]))
        echoed = all(source.who == "daemon" and source.cell != version.cell for source in sources)
        if version.replaced is not None and known and known <= earlier and echoed:
            self.rounds.append(version)
        self.knows[version.n] = known
        made_of = Knows().union(*(self._made_of[source.n] for source in sources))
        if made_of and made_of < before:
            lost = before - made_of
            self.reverted.append(Overwritten(version, tuple(self.truth.version(n) for n in sorted(lost))))
        self._made_of[version.n] = made_of

    def partners(self, cell: Cell) -> Iterator[Cell]:
        """The same field of the records at the other vendor that were ever joined with this one."""
        for category, at_vitec, at_propstreet in self.pairs:
            if category == cell.category:
                if (cell.vendor, cell.record) == ("vitec", at_vitec):
                    yield Cell("propstreet", category, at_propstreet, cell.field)
                elif (cell.vendor, cell.record) == ("propstreet", at_propstreet):
                    yield Cell("vitec", category, at_vitec, cell.field)

    def _meet(self, version: Version) -> None:
        for cell in self.partners(version.cell):
            there = self._held[cell][-1] if self._held[cell] else None
            if there is not None and there.value == version.value and not self._was_gone(cell, version.at):
                both = self.knows[version.n] | self.knows[there.n]
                self.knows[version.n] = self.knows[there.n] = both

    def _was_gone(self, cell: Cell, at: float) -> bool:
        gone = self.truth.lives[cell.vendor, cell.category, cell.record].gone
        return gone is not None and gone <= at

    def sources(self, version: Version) -> list[Version]:
        """Where a daemon's value came from: its partners, its own past (an operator may bring it back), or, while no
        reference tells of a partner, any record of the other vendor."""
        cell = version.cell
        past = [each for partner in self.partners(cell) for each in self._held[partner]]
        anywhere = (
            each
            for other, held in list(self._held.items())
            if (other.category, other.field) == (cell.category, cell.field) and other.vendor != cell.vendor
            for each in held
        )
        for known in (past, self._held[cell], anywhere):
            if alike := [each for each in known if each.value == version.value]:
                return alike
        return []

    def _is_given(self, version: Version) -> bool:
        return version.given or version.cell.category in ("note", "lead", "link")

    @cached_property
    def alive(self) -> Knows:
        """What the present versions of all living records know."""
        return Knows().union(*(self.knows[version.n] for version in self.truth.present.values()))

    def group(self, record: Record) -> set[Record]:
        """All records that were ever joined with this one, and itself."""
        return self._groups.get(record, {record})

    @cached_property
    def _groups(self) -> Mapping[Record, set[Record]]:
        groups: dict[Record, set[Record]] = {}
        for category, a, b in self.pairs:
            ends: Iterable[Record] = (("vitec", category, a), ("propstreet", category, b))
            whole: set[Record] = set().union(*(groups.get(end, {end}) for end in ends))
            groups |= dict.fromkeys(whole, whole)
        return groups

    def story(self, cell: Cell) -> list[Version]:
        """Every version of a field at both sides, in the order in which it happened."""
        records = self.group((cell.vendor, cell.category, cell.record))
        cells = {Cell(*record, cell.field) for record in records}
        return [version for version in self.truth.versions if version.cell in cells]
