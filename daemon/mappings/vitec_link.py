"""A link between a Vitec company and a person (section 3 of the mapping rules; ContactRelations of the company).

No call makes, changes or ends one.
"""

from collections.abc import Mapping
from typing import ClassVar

import msgspec
from msgspec import Struct

from daemon.domain.fields import Value
from daemon.domain.streams import relation_id
from daemon.mappings.decoding import decoded
from daemon.mappings.lens import Content, Options
from daemon.mappings.vitec import UnwritableLens

CONTACT_PERSON, SIGNATORY = "CompanyContactPerson", "CompanySignatory"
NUMBERS: Mapping[str, str] = {"4": CONTACT_PERSON, "3": SIGNATORY}
JOB_TITLES: Mapping[str, str] = {SIGNATORY: "Firmatecknare"}
"""What a link is called at Propstreet; a contact person has no title (K1, K2)."""


class Row(Struct, frozen=True, rename="camel"):
    """One relation: the other contact, and what it is, as a name or a number (ContactRelationType)."""

    contact_id: str
    relation: str | int | None = None


class Rows(Struct, frozen=True, rename="camel"):
    """The answer of ContactRelations: from either end."""

    relations: list[Row] | None = None
    reverse_relations: list[Row] | None = None


class Link(Struct, frozen=True, rename="camel"):
    """One link, put together from the company's id and a row of its relations."""

    company_id: str
    person_id: str
    relation: str


def links_in(company: str, payload: bytes, options: Options) -> tuple[tuple[str, bytes], ...]:
    """Give a company's links as (external id, payload), in order, each person once.

    A contact person is one, whatever else they are (K1); a signatory only where that was switched on (K2); other
    relations are left out (K6). Raises UntranslatablePayload.
    """
    rows = decoded(payload, _ROWS, "vitec link")
    kinds: dict[str, str] = {}
    for row in (*(rows.relations or ()), *(rows.reverse_relations or ())):
        word = str(row.relation).strip()
        kind = NUMBERS.get(word, word)
        if kind == CONTACT_PERSON or (kind == SIGNATORY and options.signatory_links):
            kinds[row.contact_id] = (
                CONTACT_PERSON if CONTACT_PERSON in (kind, kinds.get(row.contact_id)) else kind
            )
    return tuple(
        (relation_id(company, person), msgspec.json.encode(Link(company, person, kind)))
        for person, kind in kinds.items()
        if person
    )


class VitecLink(UnwritableLens[Link]):
    """Vitec's link."""

    category = "link"
    fields = ("job_title",)
    refusal: ClassVar[str] = "Vitec has no call for who belongs to a company; change it at Vitec by hand"

    def __init__(self) -> None:
        super().__init__(Link)

    def translate(self, record: Link, options: Options) -> Content:
        """Read a decoded link."""
        title: Value = JOB_TITLES.get(record.relation)
        return Content(
            external_id=relation_id(record.company_id, record.person_id),
            fields={"job_title": title},
            changed=None,
            parts={"company": record.company_id, "contact": record.person_id},
        )


_ROWS = msgspec.json.Decoder(Rows)
