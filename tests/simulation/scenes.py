"""What people do in a moment: a few steps close to each other, mostly about one field that both sides care about.

What is typed is unique by a short token, so that the truth can trace it, but for the deliberate returns to an older
value. Each scene's times are seconds from its beginning.
"""

import random
from collections.abc import Callable, Iterator
from typing import Final

from tests.simulation.steps import (
    VENDORS,
    BackupRestored,
    Being,
    ByPeople,
    Category,
    Create,
    Edit,
    Faults,
    Knobs,
    Lead,
    Merge,
    Note,
    Remove,
    SetClassification,
    SetLevel,
    SetStatus,
    Tag,
    Unrelate,
    Untag,
    Values,
    Vendor,
)

LEVELS: Final = (
    *("Interested", "VeryInterested", "BeenAtOrComingToViewing", "ParticipateInBidding", "Assigned"),
    *("NotInterested", "FollowingBidding", "OnHoldInBidding", "Reserved", "Archived"),
)
CLASSES: Final = ("contacted", "interested", "not_interested", "bidder", "not_contacted")
STATUSES: Final = {
    "CommercialProperty": ("Coming", "ForSale", "Resting", "Sold", "NoAssignment", "SoonForSale"),
    "Project": ("Coming", "Running", "Resting", "Soldout"),
}
TAGS: Final = ("investor", "buyer", "seller", "vip")
OF_CONTACT: Final = ("first_name", "last_name", "last_name", "email", "email", "phone", "phone", "strategy")
OF_COMPANY: Final = ("name", "name", "website", "website", "country", "strategy")

Scene = Iterator[ByPeople | Lead]


class Scenes:
    """Everything that may happen, by kind; remembers what was typed where, for the returns."""

    def __init__(self, chance: random.Random, population: tuple[Being, ...], knobs: Knobs) -> None:
        self.chance = chance
        self._poll = knobs.poll
        self._token = 0
        self._typed: dict[tuple[str, str, int, str], list[str]] = {}
        self._count = {"contact": 0, "company": 0, "project": 0}
        self._kind = "Project"
        for being in population:
            self._count[being.category] = max(self._count.get(being.category, 0), being.who + 1)
            for vendor in VENDORS:
                self._remember(vendor, being.category, being.who, getattr(being, vendor) or {})
            if being.category == "project" and being.vitec:
                self._kind = being.vitec["kind"]
        self._kinds: dict[str, tuple[Callable[[], Scene], ...]] = {
            "edits": (self._plain, self._plain, self._both, self._return, self._odd, self._blank),
            "crowd": (self._both, self._return, self._cross, self._copy, self._on_the_way, self._several),
            "tags": (self._tag, self._tags_at_both),
            "create": (self._new,),
            "twins": (self._new_at_both,),
            "company": (self._company_edit, self._company_edit, self._company_both),
            "levels": (self._level, self._level, self._classify, self._levels_at_both, self._unrelate),
            "estates": (self._status, self._project_name),
            "notes": (self._note,),
            "leads": (self._lead,),
            "removal": (self._remove, self._remove_what_is_edited),
            "merge": (self._merge,),
        }

    def scene(self, kind: str) -> Scene:
        """The steps of one scene of a kind."""
        yield from self.chance.choice(self._kinds[kind])()

    # --- chance

    def soon(self) -> float:
        """A moment: milliseconds mostly, sometimes seconds, now and then about as long as a poll takes to come."""
        if self.chance.random() < 0.15:
            return round(self._poll * self.chance.uniform(0.5, 1.6), 3)
        return round(10 ** self.chance.uniform(-3, 0.8), 3)

    def _vendor(self) -> Vendor:
        return self.chance.choice(VENDORS)

    def _someone(self, category: str = "contact") -> int:
        """The first one is the busiest."""
        count = max(1, self._count[category])
        return min(int(self.chance.expovariate(1.2)), count - 1)

    def _next(self) -> int:
        self._token += 1
        return self._token

    def value(self, field: str) -> str:
        """A value that nobody has typed before, in one of many spellings."""
        n, chance = self._next(), self.chance
        match field:
            case "first_name" | "last_name":
                name = f"{chance.choice(('Åsa', 'Öst', 'Moe', 'Lie', 'af Ek'))} {n}"
                return f" {name.replace(' ', '  ')} " if chance.random() < 0.1 else name
            case "email":
                host = chance.choice(("example.se", "example.se", "Example.SE", "äpple.example.se"))
                return f"{chance.choice(('eva', 'Eva', 'ola'))}.{n}@{host}"
            case "phone":
                form = chance.choice(("070-174 06 {:02}", "+46 70 174 06 {:02}", "+467017406{:02}"))
                return (form if n < 100 else "+47 400 00 {:03}").format(n)
            case "website":
                forms = (
                    *("www.w{}.example", "https://W{}.Example/om"),
                    *("http://w{}.example/", "äpple{}.example.se"),
                )
                return chance.choice(forms).format(n)
            case "country":
                return chance.choice(("SE", "NO", "DK", "fi"))
        return f"{chance.choice(('Offices', 'Hotels', 'Øst og vest', 'Två rum'))}, {n}"

    def _history(self, vendor: str, category: str, who: int, field: str) -> list[str]:
        return self._typed.setdefault((vendor, category, who, field), [])

    def _remember(self, vendor: str, category: str, who: int, fields: Values) -> None:
        for field, value in fields.items():
            self._history(vendor, category, who, field).append(value)

    def _edit(
        self, vendor: Vendor, who: int, field: str, value: str, at: float, category: Category = "contact"
    ) -> Edit:
        self._remember(vendor, category, who, {field: value})
        return Edit(vendor, category, who, field, value, at=at)

    # --- one field

    def _plain(self, fields: tuple[str, ...] = OF_CONTACT, category: Category = "contact") -> Scene:
        field = self.chance.choice(fields)
        yield self._edit(self._vendor(), self._someone(category), field, self.value(field), 0.0, category)

    def _both(self, fields: tuple[str, ...] = OF_CONTACT, category: Category = "contact") -> Scene:
        """The same field at both sides within a moment."""
        who, field, first = self._someone(category), self.chance.choice(fields), self._vendor()
        for vendor, at in ((first, 0.0), (_other(first), self.soon())):
            yield self._edit(vendor, who, field, self.value(field), at, category)

    def late(self) -> Iterator[Edit | Faults]:
        """One field is typed again and again while calls to Vitec crawl: what was given up lands after all.

        At Vitec somebody may put back what stood there before.
        """
        who, field, at, chance = self._someone(), self.chance.choice(OF_CONTACT), 1.0, self.chance
        before = last = ""
        for _ in range(chance.randint(2, 5)):
            vendor: Vendor = "vitec" if chance.random() < 0.3 else "propstreet"
            value = self.value(field)
            if vendor == "vitec" and chance.random() < 0.6:
                value, at = before or value, at + chance.uniform(0.1, 2.0)
            yield self._edit(vendor, who, field, value, round(at, 3))
            before, last = last, value
            at += chance.uniform(2, 60)
        shares = {"crawling": chance.choice((0.2, 0.5)), "timeout_after": chance.choice((0.1, 0.4))}
        yield Faults("vitec", round(at + 30, 1), shares, at=0.0)

    def forgotten(self) -> Iterator[Create | Remove | Edit | BackupRestored]:
        """A company made at Vitec is carried over, removed at Propstreet, perhaps edited; then the log forgets it all."""
        who, told = self._count["company"], {"name": self.value("name"), "website": self.value("website")}
        self._count["company"] += 1
        self._remember("vitec", "company", who, told)
        carried = round(1.5 * self._poll + 15, 3)
        yield Create("vitec", "company", who, told, at=2.0)
        yield Remove("propstreet", "company", who, at=carried)
        if self.chance.random() < 0.7:
            yield self._edit("vitec", who, "name", self.value("name"), carried + 1, "company")
        yield BackupRestored(carried + 5, at=carried + 6)

    def namesakes(self) -> Iterator[Create]:
        """Mother and daughter, of one name and one phone, are entered at Propstreet in the same moment."""
        (one, told), (other, _) = self._person(), self._person()
        for who, after in ((one, 0.0), (other, round(self.chance.uniform(0.0, 0.05), 3))):
            own = {**told, "email": self.value("email"), "phone": told.get("phone") or self.value("phone")}
            told = own
            self._remember("propstreet", "contact", who, own)
            yield Create("propstreet", "contact", who, own, at=2.0 + after)

    def retracted(self) -> Iterator[Create | Edit | Faults]:
        """A write's answer is lost, and what it wrote is put back by a person before anybody looks again."""
        (who, told), chance, field = self._person(), self.chance, "last_name"
        here = self._vendor()
        there = _other(here)
        self._remember(here, "contact", who, told)
        yield Create(here, "contact", who, told, at=0.0)
        carried = round(1.5 * self._poll + 15, 3)
        yield Faults(there, round(2 * self._poll + 10, 1), {"timeout_after": 0.8}, at=carried)
        yield self._edit(here, who, field, self.value(field), carried + 1)
        yield self._edit(there, who, field, told[field], round(carried + 1 + chance.uniform(0.3, 8.0), 3))

    def _return(self) -> Scene:
        """A to B and back to A at one side."""
        who, field, vendor = self._someone(), self.chance.choice(OF_CONTACT), self._vendor()
        before = self._history(vendor, "contact", who, field)
        old = before[-1] if before else self.value(field)
        yield self._edit(vendor, who, field, self.value(field), 0.0)
        yield self._edit(vendor, who, field, old, self.soon())

    def _cross(self) -> Scene:
        """A to B and back at one side, and an edit of the other side in between."""
        who, field, vendor = self._someone(), self.chance.choice(OF_CONTACT), self._vendor()
        before = self._history(vendor, "contact", who, field)
        old = before[-1] if before else self.value(field)
        first, second = sorted((self.soon(), self.soon()))
        yield self._edit(vendor, who, field, self.value(field), 0.0)
        yield self._edit(_other(vendor), who, field, self.value(field), first)
        yield self._edit(vendor, who, field, old, second)

    def _copy(self) -> Scene:
        """Somebody types exactly what the other side holds, or held."""
        who, field, vendor = self._someone(), self.chance.choice(OF_CONTACT), self._vendor()
        beyond = self._history(_other(vendor), "contact", who, field)
        yield self._edit(vendor, who, field, self.chance.choice(beyond or [self.value(field)]), 0.0)

    def _on_the_way(self) -> Scene:
        """Somebody types what was typed at the other side a moment ago, and perhaps goes back."""
        who, field, vendor = self._someone(), self.chance.choice(OF_CONTACT), self._vendor()
        value, at = self.value(field), self.soon()
        before = self._history(_other(vendor), "contact", who, field)[-1:]
        yield self._edit(vendor, who, field, value, 0.0)
        yield self._edit(_other(vendor), who, field, value, at)
        if before and self.chance.random() < 0.5:
            yield self._edit(_other(vendor), who, field, before[0], at + self.soon())

    def _several(self) -> Scene:
        """Different fields of one record at both sides."""
        who, fields = self._someone(), self.chance.sample(sorted(set(OF_CONTACT)), 3)
        for field in fields:
            yield self._edit(self._vendor(), who, field, self.value(field), self.soon())

    def _blank(self) -> Scene:
        field = self.chance.choice(("phone", "strategy", "last_name", "email"))
        yield self._edit(self._vendor(), self._someone(), field, "", 0.0)

    def _odd(self) -> Scene:
        """Longer than Vitec takes, or just not; a phone in yet another spelling."""
        who, vendor, n = self._someone(), self._vendor(), self._next()
        field, value = self.chance.choice(
            (
                ("last_name", f"{n} ".ljust(30, "å")),
                ("last_name", f"{n} ".ljust(31, "ø")),
                ("first_name", f"{n} ".ljust(45, "x")),
                ("phone", f"+46 (0)70-174 06 {n % 100:02}"),
                ("phone", f"0046 70 1740 6{n % 100:02}"),
                ("strategy", f"{n}\n" + "Kontor och lager. " * 30),
                ("email", f"{'e' * 60}.{n}@{'x' * 40}.example.se"),
            )
        )
        yield self._edit(vendor, who, field, value, 0.0)

    # --- tags

    def _tag(self) -> Scene:
        kind = self.chance.choice((Tag, Tag, Untag))
        yield kind(self._vendor(), "contact", self._someone(), self.chance.choice(TAGS), at=0.0)

    def _tags_at_both(self) -> Scene:
        who, (one, another) = self._someone(), self.chance.sample(TAGS, 2)
        for vendor, tag, at in (("vitec", one, 0.0), ("propstreet", another, self.soon())):
            kind = self.chance.choice((Tag, Tag, Tag, Untag))
            yield kind(vendor, "contact", who, tag, at=at)  # type: ignore[arg-type]

    # --- records

    def _person(self) -> tuple[int, Values]:
        who = self._count["contact"]
        self._count["contact"] += 1
        name = {
            "first_name": self.chance.choice(("Eva", "Ola")),
            "last_name": self.value("last_name").strip(),
        }
        told = name | {"email": self.value("email"), "phone": self.value("phone")}
        if self.chance.random() < 0.2:
            del told[self.chance.choice(("email", "phone"))]
        return who, told

    def _new(self) -> Scene:
        who, told = self._person()
        vendor = self._vendor()
        self._remember(vendor, "contact", who, told)
        yield Create(vendor, "contact", who, told, at=0.0)
        if self.chance.random() < 0.5:
            field = self.chance.choice(("last_name", "phone"))
            yield self._edit(vendor, who, field, self.value(field), self.soon())

    def _new_at_both(self) -> Scene:
        """One person is entered at both sides within a moment; one phone differs perhaps."""
        who, told = self._person()
        first = self._vendor()
        again = dict(told)
        if self.chance.random() < 0.4:
            again["phone"] = self.value("phone")
        for vendor, fields, at in ((first, told, 0.0), (_other(first), again, self.soon())):
            self._remember(vendor, "contact", who, fields)
            yield Create(vendor, "contact", who, fields, at=at)

    def _remove(self) -> Scene:
        yield Remove(self._vendor(), "contact", self._someone(), at=0.0)

    def _remove_what_is_edited(self) -> Scene:
        who, vendor, field = self._someone(), self._vendor(), self.chance.choice(OF_CONTACT)
        yield Remove(vendor, "contact", who, at=self.soon())
        yield self._edit(_other(vendor), who, field, self.value(field), self.soon())

    def _merge(self) -> Scene:
        """A second card of somebody, or just another one, and both become one."""
        who = self._someone()
        source = self.chance.randrange(max(1, self._count["contact"]))
        if source == who or self.chance.random() < 0.5:
            source, told = self._person()
            yield Create("vitec", "contact", source, told, at=0.0)
        at = self.soon()
        if self.chance.random() < 0.4:
            yield self._edit("propstreet", who, "strategy", self.value("strategy"), at)
        yield Merge(who, source, at=at + self.soon())

    # --- companies, projects, prospects

    def _company_edit(self) -> Scene:
        yield from self._plain(OF_COMPANY, "company")

    def _company_both(self) -> Scene:
        yield from self._both(OF_COMPANY, "company")

    def _level(self) -> Scene:
        yield SetLevel(0, self._someone(), self.chance.choice(LEVELS), at=0.0)

    def _classify(self) -> Scene:
        yield SetClassification(0, self._someone(), self.chance.choice(CLASSES), at=0.0)

    def _levels_at_both(self) -> Scene:
        who = self._someone()
        yield SetLevel(0, who, self.chance.choice(LEVELS), at=self.soon())
        yield SetClassification(0, who, self.chance.choice(CLASSES), at=self.soon())

    def _unrelate(self) -> Scene:
        who = self._someone()
        yield Unrelate(0, who, at=0.0)
        if self.chance.random() < 0.5:
            yield SetLevel(0, who, "Interested", at=self.soon())

    def _status(self) -> Scene:
        yield SetStatus(0, self.chance.choice(STATUSES[self._kind]), at=0.0)

    def _project_name(self) -> Scene:
        yield self._edit(self._vendor(), 0, "name", self.value("name"), 0.0, "project")

    # --- what makes another one each time

    def _note(self) -> Scene:
        yield Note(self._vendor(), self._someone(), f"Ringde, återkommer {self._next()}", at=0.0)

    def _lead(self) -> Scene:
        n = self._next()
        told = {
            "first_name": f"Lea {n}",
            "last_name": "Moe",
            "email": f"lead.{n}@example.no",
            "phone": f"+47 400 00 {n % 1000:03}",
            "message": f"Hei {n}",
            "address": "Øvregaten 7",
            "zip_code": "5003",
            "city": "Bergen",
        }
        interest = self._count["project"] > 0 and self.chance.random() < 0.5
        lead = Lead("interest" if interest else "lead", told, 0 if interest else None, at=0.0)
        yield lead
        if self.chance.random() < 0.3:  # the form is sent twice
            yield Lead(lead.form, told, lead.project, at=self.soon())


def _other(vendor: Vendor) -> Vendor:
    return "propstreet" if vendor == "vitec" else "vitec"
