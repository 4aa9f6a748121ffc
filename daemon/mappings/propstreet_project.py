"""A Propstreet project (sections 9 and 10 of the mapping rules; model Project).

Its `status` and the stage of its teaser are set by Propstreet (S30). Whether its classification can be
written nobody says for sure: it is sent alone, and looked at afterwards (S31).
"""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from daemon.domain.fields import UNMAPPED, Value
from daemon.mappings.amounts import Price, price_problem, price_put, priced
from daemon.mappings.lens import RECORD, REFERENCE, Hold, Options, Seen, Text, carried
from daemon.mappings.propstreet import REMOVED, PropstreetLens, Resource

CLASSIFICATIONS = ("draft", "active", "inactive")

BY_HAND: Mapping[str, str] = {
    "status": "Propstreet sets the status itself; close or reopen the project at Propstreet",
    "stage": "Propstreet sets the stage itself; publish or communicate the teaser at Propstreet",
}


class Teaser(Struct, frozen=True):
    """What investors see; only its stage is read."""

    stage: str | None = None


class Project(Resource, frozen=True, rename="camel"):
    """The mapped part of a project's payload."""

    name: Text = UNSET
    classification: Text = UNSET
    price: Price | UnsetType | None = UNSET
    status: Text = UNSET
    teaser: Teaser | UnsetType | None = UNSET


class PropstreetProject(PropstreetLens[Project]):
    """Propstreet's project."""

    category = "project"
    fields = ("name", "classification", "price", "status", "stage")
    limits: ClassVar[Mapping[str, int]] = {"name": 200, "reference": 255}
    names: ClassVar[Mapping[str, str]] = {
        "name": "name",
        "classification": "classification",
        "price": "price",
    }
    on_create = frozenset({"name", "price", REFERENCE})
    probed = frozenset({"classification"})

    def __init__(self) -> None:
        super().__init__(Project)

    def read(self, record: Project, options: Options) -> dict[str, Value]:
        """Give what the payload carries; a project that is gone is inactive, where that is written (H10)."""
        teaser = record.teaser
        fields = carried(
            name=record.name,
            classification=record.classification,
            status=record.status,
            stage=teaser.stage if isinstance(teaser, Teaser) else teaser,
        )
        classification = fields.get("classification")
        if isinstance(classification, str) and classification not in CLASSIFICATIONS:
            fields["classification"] = UNMAPPED + classification
        if record.price is not UNSET:
            fields["price"] = priced(record.price or Price(), "propstreet project: price")
        if REMOVED in self.flags(record, options):
            fields["classification"] = "inactive"
        return fields

    def flags(self, record: Project, options: Options) -> tuple[str, ...]:
        """Tell that the project is gone, where its status at Vitec follows (H10)."""
        return (REMOVED,) if options.project_status_writes and self.removed(record) else ()

    def when_gone(self, options: Options) -> dict[str, Value]:
        """Give inactive, if Vitec's status follows (H10)."""
        return {"classification": "inactive"} if options.project_status_writes else {}

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold an empty name, a price that is none, and what Propstreet sets by itself (S30)."""
        match field:
            case "name" if value is None:
                return Hold(field, "cannot_clear", "a project must have a name; give one at Vitec")
            case "classification" if value not in CLASSIFICATIONS:
                return Hold(field, "invalid", "this is no classification of a project; correct it there")
            case "price":
                return price_problem(value)
            case "status" | "stage":
                return Hold(field, "not_writable", BY_HAND[field])
        return super().check(field, value, seen, options)

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a project without a name (POST projects asks for it)."""
        if "name" in takes:
            return None
        return Hold(RECORD, "needs_name", "a project needs a name; give one at Vitec")

    def body(self, field: str, value: Value) -> object:
        """Give the JSON of a value: a price is an object."""
        return price_put(value) if field == "price" else value
