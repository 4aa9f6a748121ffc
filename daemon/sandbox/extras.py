"""The small edits around the day's stories: other ones for every seed."""

import random
from collections.abc import Collection, Iterable, Mapping, Sequence

from daemon.sandbox.steps import (
    BROKERS,
    CATEGORIES,
    COMPANY_CATEGORIES,
    INVESTORS_PEOPLE,
    Category,
    Fields,
    Record,
    Side,
    Step,
    side_of,
)

SURNAMES = (
    "Ahlgren",
    "Dæhlie",
    "Ekström",
    "Førde",
    "Höglund",
    "Kjølstad",
    "Malmberg",
    "Næss",
    "Strömqvist",
    "Våge",
)
TRADES = ("Drift", "Invest", "Bygg", "Gruppen", "Partner", "Förvaltning", "Norden", "Øst")
GOODS = ("Offices", "Shops", "Warehouses", "Hotels", "Care homes", "Flats to let")
CITIES = ("Göteborg", "Tromsø", "Örebro", "Bodø", "Luleå", "Sandefjord", "Skövde", "Førde")

FREQUENT: Mapping[str, tuple[str, ...]] = {
    "contact": ("phone", "phone", "phone", "email", "email", "strategy", "strategy", "tags", "last_name"),
    "company": ("website", "website", "name", "tags"),
}

PHONES = tuple(
    form.format(number)
    for number in range(40, 100)
    for form in (
        ("070-174 06 {:02}", "+46 70 174 06 {:02}")[number % 2],
        ("+47 400 00 0{:02}", "0047 400 00 0{:02}")[number % 2],
    )
)
"""National and international forms; the stories use the numbers below 40."""

Idea = tuple[str | tuple[str, ...], str]
"""A field's next value, and the end of the sentence that tells of it."""


class Extras:
    """Small edits of persons and companies, each to a value that nobody had before, at a side where it was made.

    Tags are the exception: they come and go, at one side only, for those whose tags the `stories` leave alone.
    Those who are `still` are left alone altogether.
    """

    def __init__(
        self,
        chance: random.Random,
        population: Iterable[Record],
        stories: Sequence[Step],
        *,
        still: Collection[str],
    ) -> None:
        self.chance = chance
        self._still = still
        self._tagged = {step.key for step in stories if step.action == "edit" and "tags" in step.fields}
        self._homes: list[tuple[str, Side, Category]] = []
        self._known: dict[str, dict[str, str | tuple[str, ...]]] = {}
        self._used: set[object] = {value for step in stories for value in step.fields.values()}
        self._count = 0
        self._phones = list(PHONES)
        chance.shuffle(self._phones)
        for record in population:
            self._add(record.key, record.side, record.category, record.fields)

    def see(self, step: Step) -> None:
        """The stories went on by a step."""
        if step.category not in FREQUENT or step.action == "merge":
            return
        if step.action == "create":
            self._add(step.key, step.side, step.category, step.fields)
        self._known[step.key].update(step.fields)

    def step(self) -> Step:
        """One more edit."""
        while True:
            key, side, category = self.chance.choice(self._homes)
            field = self.chance.choice(FREQUENT[category])
            if idea := self._idea(key, side, category, field):
                break
        value, sentence = idea
        note = f"{self._name(key)} {sentence}"
        self._known[key][field] = value
        self._used.add(value)
        actor = self.chance.choice(BROKERS if side == "vitec" else INVESTORS_PEOPLE)
        return Step(actor, side_of(actor), "edit", category, key, {field: value}, note)

    def _add(self, key: str, side: Side, category: Category, fields: Fields) -> None:
        if key not in self._still:
            self._homes.append((key, side, category))
        # Of two records the first one speaks: it stands at Vitec, where the tags of a pair are complete.
        self._known[key] = {**fields, **self._known.get(key, {})}
        self._used.update(fields.values())

    def _name(self, key: str) -> str:
        known = self._known[key]
        return str(known.get("name") or f"{known['first_name']} {known['last_name']}")

    def _idea(self, key: str, side: Side, category: Category, field: str) -> Idea | None:
        """What could happen to a field; None when this one has nothing left."""
        match field:
            case "phone" if self._phones:
                return self._phones.pop(), "gets a new mobile"
            case "email":
                country = self.chance.choice(("no", "se"))
                return f"{key}{self._next()}@example.{country}", "gets a new address"
            case "strategy":
                return self._strategy(), "looks for something else"
            case "last_name":
                return self._unused((name, "changes name") for name in SURNAMES)
            case "name":
                first, *_, form = self._name(key).split()
                return self._unused((f"{first} {trade} {form}", "changes its name") for trade in TRADES)
            case "website":
                return f"https://www.{key}{self._next()}.example", "moves its site"
            case "tags" if key not in self._tagged and side == self._first_side(key):
                return self._toggled(key, category)
            case _:
                return None

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _unused(self, ideas: Iterable[Idea]) -> Idea | None:
        left = [idea for idea in ideas if idea[0] not in self._used]
        return self.chance.choice(left) if left else None

    def _strategy(self) -> str:
        low = self.chance.randint(1, 90)
        money = f"{low}-{low + self._next()} {self.chance.choice(('MNOK', 'MSEK'))}"
        return f"{self.chance.choice(GOODS)} in {self.chance.choice(CITIES)}, {money}"

    def _first_side(self, key: str) -> Side:
        return next(side for known, side, _ in self._homes if known == key)

    def _toggled(self, key: str, category: Category) -> Idea:
        """One tag more or less; somebody who has a single one keeps it."""
        tags = (CATEGORIES if category == "contact" else COMPANY_CATEGORIES).values()
        present = set(self._known[key].get("tags", ()))
        tag = self.chance.choice(sorted(set(tags) - present if len(present) < 2 else tags))
        return tuple(sorted(present ^ {tag})), f"is {'no longer ' if tag in present else ''}marked as {tag}"
