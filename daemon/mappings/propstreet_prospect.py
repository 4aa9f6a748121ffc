"""A Propstreet prospect (sections 11 and 12 of the mapping rules; model Prospect)."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET, Struct

from daemon.domain.fields import UNMAPPED, Value
from daemon.mappings.interest_levels import CLASSIFICATIONS, NOT_INTERESTED
from daemon.mappings.lens import RECORD, REFERENCE, Hold, Options, Seen, Text, carried
from daemon.mappings.propstreet import REMOVED, PropstreetLens, Resource

UNKNOWN_PERSON = "unknown_person"


class Action(Struct, frozen=True):
    """What a delivery tells of; "removed" is a removal that keeps the record (P15)."""

    type: str | None = None


class Prospect(Resource, frozen=True, rename="camel"):
    """The mapped part of a prospect's payload. Its references are its own, never the estate's (R9)."""

    project_id: str | int | None = None
    contact_id: str | int | None = None
    company_id: str | int | None = None
    classification: Text = UNSET
    action: Action | None = None


class PropstreetProspect(PropstreetLens[Prospect]):
    """Propstreet's prospect. A create takes no classification: that follows (R10)."""

    category = "prospect"
    fields = ("classification",)
    limits: ClassVar[Mapping[str, int]] = {"reference": 255}
    names: ClassVar[Mapping[str, str]] = {"classification": "classification"}
    on_create = frozenset({REFERENCE})

    def __init__(self) -> None:
        super().__init__(Prospect)

    def read(self, record: Prospect, options: Options) -> dict[str, Value]:
        """Give the classification; one that was taken off the list is not interested, if so configured (H14)."""
        fields = carried(classification=record.classification)
        classification = fields.get("classification")
        if isinstance(classification, str) and classification not in CLASSIFICATIONS:
            fields["classification"] = UNMAPPED + classification
        if self._says_so(record, options):
            fields["classification"] = NOT_INTERESTED
        return fields

    def flags(self, record: Prospect, options: Options) -> tuple[str, ...]:
        """Tell a removal that is carried over, and a prospect behind whom nobody is known (R12)."""
        unknown = record.contact_id is None and record.company_id is None
        return (REMOVED,) * self._says_so(record, options) + (UNKNOWN_PERSON,) * unknown

    def parts(self, record: Prospect) -> dict[str, str]:
        """Give project and contact, or company where no contact is known (R7)."""
        parts = {"project": record.project_id, "contact": record.contact_id}
        if record.contact_id is None:
            parts["company"] = record.company_id
        return {category: str(part) for category, part in parts.items() if part is not None}

    def removed(self, record: Prospect) -> bool:
        """Tell whether it was taken off the list: by its time, or by the delivery's action (P15)."""
        return super().removed(record) or (record.action is not None and record.action.type == "removed")

    def when_gone(self, options: Options) -> dict[str, Value]:
        """Give not interested, if a removal is carried over so (H14)."""
        return {"classification": NOT_INTERESTED} if options.prospect_removed == "not_interested" else {}

    def check(self, field: str, value: Value, seen: Seen | None, options: Options) -> Hold | None:
        """Hold what is no classification."""
        if field != "classification" or value in CLASSIFICATIONS:
            return super().check(field, value, seen, options)
        if value is None:
            return Hold(field, "cannot_clear", "a prospect always has a classification; choose one there")
        return Hold(field, "invalid", "this is no classification of a prospect; correct it there")

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Hold a prospect whose level has no classification, such as an archived one (L11)."""
        if takes:
            return None
        detail = "archived at Vitec, or of an unknown level; change it there to have a prospect made"
        return Hold(RECORD, "unmapped", detail)

    def _says_so(self, record: Prospect, options: Options) -> bool:
        return options.prospect_removed == "not_interested" and self.removed(record)
