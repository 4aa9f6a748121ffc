"""A link between a Propstreet contact and a company (section 3 of the mapping rules; model Link)."""

from collections.abc import Mapping
from typing import ClassVar

from msgspec import UNSET

from daemon.domain.fields import Value
from daemon.mappings.lens import Hold, Options, Text, carried
from daemon.mappings.propstreet import PropstreetLens, Resource


class Link(Resource, frozen=True, rename="camel"):
    """The mapped part of a link's payload. A link has no external references."""

    contact_id: str | int | None = None
    company_id: str | int | None = None
    job_title: Text = UNSET


class PropstreetLink(PropstreetLens[Link]):
    """Propstreet's link. Whose it is, the caller adds to the body of a create."""

    category = "link"
    fields = ("job_title",)
    pseudo = ()
    limits: ClassVar[Mapping[str, int]] = {"job_title": 255}
    names: ClassVar[Mapping[str, str]] = {"job_title": "jobTitle"}

    def __init__(self) -> None:
        super().__init__(Link)

    def read(self, record: Link, options: Options) -> dict[str, Value]:
        """Give the job title if the payload carries it."""
        return carried(job_title=record.job_title)

    def parts(self, record: Link) -> dict[str, str]:
        """Give contact and company."""
        parts = {"contact": record.contact_id, "company": record.company_id}
        return {category: str(part) for category, part in parts.items() if part is not None}

    def check_create(self, takes: Mapping[str, Value], options: Options) -> Hold | None:
        """Let every link be made: it needs no title."""
        return None
