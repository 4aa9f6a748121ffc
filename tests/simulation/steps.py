"""What a story is made of: the world before it, its knobs, and what people, vendors and machines do in it.

Times are virtual seconds from the start. Somebody or something is told by its category and a number (`who`), the same
at both vendors. Fields have Toveis' common names; a blank text empties a field. Everything is a frozen Struct, so that
a story can be written to a file and read again.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from msgspec import Struct, json

Vendor = Literal["vitec", "propstreet"]
VENDORS: Final[tuple[Vendor, Vendor]] = ("vitec", "propstreet")
Category = Literal["contact", "company", "project", "prospect"]
Values = dict[str, str]

START: Final = "2026-05-18T10:00:00+00:00"
AUTUMN: Final = "2026-10-24T23:58:00+00:00"
"""01:58 in Stockholm, a few minutes before the hour that comes twice (the clocks go back at 01:00 UTC)."""


class Knobs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the world is set. The defaults are a quiet one.

    `vitec` and `propstreet` turn switches of the twins, `sync` are lines of [tenants.sync]. Skews are seconds that a
    vendor's clock is ahead. `latency` are the shortest and the longest way of a call, `poll` is the interval, `think`
    the mean time between what people do, in seconds. `webhooks` False: neither vendor tells of anything. `limits` are the
    calls in a second, a minute and an hour that both vendors count exactly; None lifts them. `daemons` share the tenant.
    """

    theme: str = ""
    start: str = START
    vitec: dict[str, Any] = {}
    propstreet: dict[str, Any] = {}
    sync: dict[str, Any] = {}
    vitec_skew: float = 0.0
    propstreet_skew: float = 0.0
    latency: tuple[float, float] = (0.005, 0.05)
    poll: float = 20.0
    think: float = 10.0
    mode: Literal["live", "observe"] = "live"
    webhooks: bool = True
    limits: tuple[int, int, int] | None = None
    daemons: int = 1


class Being(Struct, frozen=True, omit_defaults=True):
    """Somebody or something that is there before the story: its fields at each vendor that knows it.

    A prospect is `of` a project and a contact; its one field at Vitec is `level`, at Propstreet `classification`.
    """

    category: Category
    who: int
    vitec: Values | None = None
    propstreet: Values | None = None
    of: tuple[int, int] | None = None


class Step(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Something happens `at` a time."""

    at: float


class Create(Step, frozen=True):
    """A person makes a record."""

    vendor: Vendor
    category: Category
    who: int
    fields: Values
    of: tuple[int, int] | None = None


class Edit(Step, frozen=True):
    """A person types a value into a field."""

    vendor: Vendor
    category: Category
    who: int
    field: str
    value: str


class Remove(Step, frozen=True):
    """A person removes a record."""

    vendor: Vendor
    category: Category
    who: int


class Merge(Step, frozen=True):
    """A person at Vitec merges one card (`source`) into another."""

    who: int
    source: int
    category: Literal["contact", "company"] = "contact"


class Tag(Step, frozen=True):
    """A person gives a tag (at Vitec: the category that means it)."""

    vendor: Vendor
    category: Literal["contact", "company"]
    who: int
    tag: str


class Untag(Tag, frozen=True):
    """A person takes a tag away."""


class Note(Step, frozen=True):
    """A person writes a note on a contact."""

    vendor: Vendor
    who: int
    text: str


class Lead(Step, frozen=True):
    """Somebody fills in a form on the web; it is posted to the daemon. An interest is in `project`."""

    form: Literal["lead", "interest"]
    fields: Values
    project: int | None = None


class SetLevel(Step, frozen=True):
    """A broker sets a speculator's level at Vitec."""

    project: int
    contact: int
    level: str


class Unrelate(Step, frozen=True):
    """A broker takes a speculator away."""

    project: int
    contact: int


class SetClassification(Step, frozen=True):
    """Somebody at Propstreet classifies a prospect, or adds it."""

    project: int
    contact: int
    classification: str


class SetStatus(Step, frozen=True):
    """A broker sets an estate's status at Vitec."""

    project: int
    status: str


class Faults(Step, frozen=True):
    """For some seconds a share (0 to 1) of a vendor's calls fail, each kind by its own share."""

    vendor: Vendor
    seconds: float
    shares: dict[str, float]


class Deliveries(Step, frozen=True):
    """For some seconds a vendor's webhooks are dropped (a share), doubled, shuffled or late (seconds)."""

    vendor: Vendor
    seconds: float
    drop: float = 0.0
    copies: int = 1
    shuffle: bool = False
    delay: float = 0.0


class TokenExpired(Step, frozen=True):
    """Every token of Propstreet's dies at once."""


class ClockJump(Step, frozen=True):
    """A vendor's clock jumps by so many seconds."""

    vendor: Vendor
    seconds: float


class ThirdParty(Step, frozen=True):
    """From now on a bridge rewrites a field at one vendor, a moment after each change: in capitals, or trimmed."""

    vendor: Vendor
    category: Category
    who: int
    field: str
    after: float = 1.0


class WebhookOff(Step, frozen=True):
    """Somebody at Propstreet switches our webhook off, removes it, or takes events away."""

    how: Literal["disabled", "removed", "fewer"]


class Crash(Step, frozen=True):
    """The daemon dies, at once or before its n-th operation from now, and starts again after a pause."""

    operation: int | None = None
    pause: float = 1.0


class Pause(Step, frozen=True):
    """The daemon stands still for some seconds, as a virtual machine does that is moved; it does not know."""

    seconds: float


class DatabaseAway(Step, frozen=True):
    """Nobody reaches the database for some seconds."""

    seconds: float


class ConnectionLost(Step, frozen=True):
    """Every connection to the database breaks."""


class BackupRestored(Step, frozen=True):
    """The daemon dies, and its database is put back to what it was so many seconds before."""

    age: float
    pause: float = 5.0


class OperatorRestores(Step, frozen=True):
    """The operator looks at the conflicts and restores the newest loser, if there is one."""


class GoLive(Step, frozen=True):
    """Observe mode ends: the daemon is started again in live mode."""


ByPeople = (
    Create | Edit | Remove | Merge | Tag | Untag | Note | SetLevel | Unrelate | SetClassification | SetStatus
)
"""What `People.do` carries out at the twins; the rest is done by whoever runs the world."""

ByVendors = Faults | Deliveries | TokenExpired | ClockJump | ThirdParty | WebhookOff
ByMachine = Crash | Pause | DatabaseAway | ConnectionLost | BackupRestored | OperatorRestores | GoLive
AnyStep = ByPeople | Lead | ByVendors | ByMachine
FAULTS: Final = (
    *(Faults, Deliveries, TokenExpired, ClockJump, ThirdParty, WebhookOff),
    *(Crash, Pause, DatabaseAway, ConnectionLost, BackupRestored),
)
"""What a run without faults has none of."""


class Story(Struct, frozen=True):
    """A world and what happens in it, in the order of the times."""

    seed: int
    knobs: Knobs = Knobs()
    population: tuple[Being, ...] = ()
    steps: tuple[AnyStep, ...] = ()

    @property
    def faulty(self) -> bool:
        """Whether anything goes wrong in it besides what people do."""
        return any(isinstance(step, FAULTS) for step in self.steps)

    @property
    def seconds(self) -> float:
        """When its last step is."""
        return max((step.at for step in self.steps), default=0.0)


def written(story: Story) -> bytes:
    """The story as JSON."""
    return json.format(json.encode(story))


def read(text: bytes | str) -> Story:
    """The story that `written` wrote."""
    return json.decode(text, type=Story)


def words(story: Story) -> str:
    """The story in lines: its knobs, who is there, and one line a step."""
    knobs = json.decode(json.encode(story.knobs))
    lines = [f"seed {story.seed}", *(f"  {name} = {value}" for name, value in knobs.items())]
    for being in story.population:
        known = ((vendor, fields) for vendor, fields in _sides(being).items() if fields is not None)
        lines += [f"{_name(being.category, being.who, being.of)} at {v}: {_told(f)}" for v, f in known]
    return "\n".join([*lines, *(f"{step.at:9.3f}  {said(step)}" for step in story.steps)])


def said(step: AnyStep) -> str:
    """One step in words."""
    match step:
        case Create():
            what = _name(step.category, step.who, step.of)
            return f"{step.vendor}: {what} is made, {_told(step.fields)}"
        case Edit():
            return f"{step.vendor}: {step.category} {step.who}, {step.field} becomes {step.value!r}"
        case Merge():
            return f"vitec: {step.category} {step.source} is merged into {step.who}"
        case Untag():
            return f"{step.vendor}: {step.category} {step.who} loses the tag {step.tag}"
        case Tag():
            return f"{step.vendor}: {step.category} {step.who} gets the tag {step.tag}"
        case (
            SetLevel(project=p, contact=c, level=word)
            | SetClassification(project=p, contact=c, classification=word)
        ):
            return f"{'vitec' if isinstance(step, SetLevel) else 'propstreet'}: prospect {p}/{c} is {word}"
        case Lead():
            return f"web: {step.form} of {step.fields.get('email', '')}, {_told(step.fields)}"
        case _:
            fields = ((f, getattr(step, f)) for f in step.__struct_fields__ if f not in ("at", "vendor"))
            told = ", ".join(f"{name} {value}" for name, value in fields if value is not None)
            return f"{getattr(step, 'vendor', 'the world')}: {type(step).__name__} {told}".rstrip()


def _sides(being: Being) -> Mapping[str, Values | None]:
    return {"vitec": being.vitec, "propstreet": being.propstreet}


def _name(category: str, who: int, of: tuple[int, int] | None) -> str:
    return f"{category} {who}" + ("" if of is None else f" ({of[0]}/{of[1]})")


def _told(fields: Values) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in fields.items()) or "blank"
