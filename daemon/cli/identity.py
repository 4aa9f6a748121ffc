"""`toveis link` and `toveis unlink`: an operator says which records are one."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.opening import load, tenant_of, with_config, with_tenant
from daemon.cli.operating import Ruling, append, as_sent, operator, ruling_of, tell
from daemon.domain.errors import UsageError
from daemon.domain.streams import CATEGORIES, PROPSTREET, VITEC

if TYPE_CHECKING:
    from daemon.processor import Tenant
    from daemon.storage.connection import Connection
    from projections.entity import Entity


@click.command()
@click.argument("category", type=click.Choice(CATEGORIES))
@click.argument("vitec_ref")
@click.argument("propstreet_ref")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_tenant
@with_config
def link(
    config_file: Path | None,
    tenant: str | None,
    category: str,
    vitec_ref: str,
    propstreet_ref: str,
    as_json: bool,
) -> None:
    """Say that a record at Vitec and one at Propstreet are the same.

    A REF is the record's id at its vendor, or what `toveis history` takes. What differs then is written: a blank loses,
    else the later edit wins, and what lost stands among the conflicts.

    \b
    Example:  toveis link contact vitec:ADR0123 propstreet:1001
    """
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)

    async def rule(conn: "Connection", at: "Tenant") -> Ruling:
        from daemon.policies.operating import link as link_records
        from daemon.policies.plan import Refused

        vitec = await _side(conn, at.name, category, VITEC, vitec_ref)
        propstreet = await _side(conn, at.name, category, PROPSTREET, propstreet_ref)
        said = link_records(vitec, propstreet, operator())
        if isinstance(said, Refused):
            raise UsageError(said.why)
        if said.plan.events:
            await _refuse_strangers(conn, at.name, vitec, propstreet)
        records = [
            f"{VITEC}:{vitec.sides[VITEC].record}",
            f"{PROPSTREET}:{propstreet.sides[PROPSTREET].record}",
        ]
        survivor = said.plan.events[-1][0] if said.plan.events else vitec.id
        told = {"done": "linked", "entity": survivor, "category": category, "records": records}
        return ruling_of(at, said.plan, {**told, "then": as_sent(said.then, at.mode), "by": operator()})

    told = append(settings, chosen, rule)
    words = f"linked {' and '.join(told['records'])} ({category} {told['entity']}): {told['then']}"
    tell(told, words, as_json=as_json)


@click.command()
@click.argument("category", type=click.Choice(CATEGORIES))
@click.argument("ref")
@click.option("--reason", default="unlinked by an operator", help="Why; it stands in the history.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_tenant
@with_config
def unlink(
    config_file: Path | None, tenant: str | None, category: str, ref: str, reason: str, as_json: bool
) -> None:
    """Say that two linked records are not the same: both stay, and never link again by themselves.

    REF is what `toveis history` takes. What joins them (prospects, links, notes) stays as it is.

    \b
    Example:  toveis unlink contact vitec:ADR0123 --reason "father and son"
    """
    if not reason.strip():
        raise UsageError("--reason is empty; say why, or leave it out")
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)

    async def rule(conn: "Connection", at: "Tenant") -> Ruling:
        from daemon.cli import finding
        from daemon.policies.operating import unlink as unlink_records
        from daemon.policies.plan import Refused
        from daemon.storage import views

        name = await finding.find(conn, at.name, category, ref)
        entity = await views.resolve(conn, at.name, name)
        assert entity is not None
        said = unlink_records(entity, reason, operator())
        if isinstance(said, Refused):
            raise UsageError(f"{entity.id}: {said.why}")
        records = [f"{vendor}:{side.record}" for vendor, side in entity.sides.items()]
        told = {"done": "unlinked", "entity": entity.id, "category": category, "records": records}
        return ruling_of(at, said.plan, {**told, "then": said.then, "by": operator()})

    told = append(settings, chosen, rule)
    words = f"unlinked {' and '.join(told['records'])} ({category} {told['entity']}): {told['then']}"
    tell(told, words, as_json=as_json)


async def _side(conn: "Connection", tenant: str, category: str, vendor: str, ref: str) -> "Entity":
    """The entity of the record of one vendor that is meant; raises UsageError, with who else may be meant."""
    from daemon.cli import finding
    from daemon.storage import views

    record = await views.entity_of_record(conn, tenant, category, vendor, ref.removeprefix(f"{vendor}:"))
    matching = [record] if record is not None else await finding.matching(conn, tenant, category, ref)
    found = [entity for entity in matching if vendor in entity.sides]
    if len(found) == 1:
        return found[0]
    lines = "".join(f"\n  {finding.title(entity)}" for entity in found)
    if found:
        raise UsageError(
            f"{len(found)} {category} records at {vendor.capitalize()} match {ref!r}; give the id of one:{lines}"
        )
    raise UsageError(
        f"no {category} at {vendor.capitalize()} matches {ref!r}; give {vendor}:<id>, or what `toveis history` takes"
    )


async def _refuse_strangers(conn: "Connection", tenant: str, vitec: "Entity", propstreet: "Entity") -> None:
    """Records that join others are the same only if what they join is: raises UsageError."""
    from daemon.storage import views

    joined = []
    for entity, vendor in ((vitec, VITEC), (propstreet, PROPSTREET)):
        # Vitec's relations name persons and companies alike as contacts
        names = [
            (category, vendor, record)
            for part, record in entity.sides[vendor].parts.items()
            for category in (("contact", "company") if (vendor, part) == (VITEC, "contact") else (part,))
        ]
        joined.append(await views.entities_of_records(conn, tenant, names))
    if joined[0] != joined[1]:
        raise UsageError("they join different records; link those first")
