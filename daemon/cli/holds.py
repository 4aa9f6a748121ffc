"""`toveis release`, `retry` and `discard`: the ways out of a hold, a refusal and a wait."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from daemon.cli.batching import BATCH, release_batch
from daemon.cli.opening import load, tenant_of, with_config, with_tenant
from daemon.cli.operating import Ruling, append, as_sent, operator, ruling_of, tell
from daemon.domain.errors import UsageError

if TYPE_CHECKING:
    from daemon.policies.operating import Said
    from daemon.processor import Tenant
    from daemon.storage.connection import Connection
    from projections.commands import CommandRow
    from projections.entity import Entity


@click.command()
@click.argument("ref", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_tenant
@with_config
def release(config_file: Path | None, tenant: str | None, ref: str, as_json: bool) -> None:
    """Let what is held go: the same cause does not hold it again.

    ID is one of `toveis commands --held`, or its beginning. What follows depends on the reason, and is said. A batch
    (bat-…) is looked at again as a whole. The id of an entity whose link was closed makes it begin anew.

    \b
    Example:  toveis release con-5qrx
    """
    if ref.startswith(BATCH):
        settings = load(config_file, secrets=False)
        release_batch(settings, tenant_of(settings, tenant), ref, as_json=as_json)
    else:
        _act("release", config_file, tenant, ref, as_json=as_json)


@click.command()
@click.argument("ref", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_tenant
@with_config
def retry(config_file: Path | None, tenant: str | None, ref: str, as_json: bool) -> None:
    """Try again now: what was refused is decided anew, what waits for a time is due.

    ID is one of `toveis commands --dead` or `--pending`, or its beginning. A vendor that refused us is asked again.

    \b
    Example:  toveis retry 0d5e5c0a
    """
    _act("retry", config_file, tenant, ref, as_json=as_json)


@click.command()
@click.argument("ref", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@with_tenant
@with_config
def discard(config_file: Path | None, tenant: str | None, ref: str, as_json: bool) -> None:
    """Settle it: it is listed no more, and the same value is not tried again.

    ID is one of `toveis commands`, or its beginning. A write is tried again when its source changes, an entity is held
    again for another cause.

    \b
    Example:  toveis discard con-5qrx
    """
    _act("discard", config_file, tenant, ref, as_json=as_json)


DONE: Final = {"release": "released", "retry": "retried", "discard": "discarded"}


class Choice(msgspec.Struct, frozen=True):
    """What an id may mean, and what the command comes to for it."""

    id: str
    entity: "Entity"
    reason: str
    said: "Said"


def _act(verb: str, config_file: Path | None, tenant: str | None, ref: str, *, as_json: bool) -> None:
    if ref.startswith(BATCH):
        raise UsageError("what a brake holds is only released: `toveis release` lets all of it go")
    settings = load(config_file, secrets=False)
    chosen = tenant_of(settings, tenant)

    async def rule(conn: "Connection", at: "Tenant") -> Ruling:
        from daemon.policies.plan import Refused
        from daemon.storage import working

        choice = _meant(await _choices(conn, at.name, verb, ref), ref)
        if isinstance(choice.said, Refused):
            raise UsageError(f"{choice.id}: {choice.said.why}")
        told = {
            "id": choice.id,
            "done": DONE[verb],
            "entity": choice.entity.id,
            "category": choice.entity.category,
            "reason": choice.reason or None,
            "then": choice.said.then if verb == "discard" else as_sent(choice.said.then, at.mode),
            "by": operator(),
        }

        async def ask_again(conn: "Connection") -> None:
            await working.ask_again(conn, at.name)

        return ruling_of(at, choice.said.plan, told, ask_again if verb == "retry" else None)

    told = append(settings, chosen, rule)
    about = ", ".join(filter(None, (f"{told['category']} {told['entity']}", told["reason"])))
    tell(told, f"{told['done']} {told['id']} ({about}): {told['then']}", as_json=as_json)


async def _choices(conn: "Connection", tenant: str, verb: str, ref: str) -> list[Choice]:
    """Every command and every entity whose id begins so, with what the command comes to."""
    from daemon.storage import views

    rows = await views.commands_like(conn, tenant, ref) if ref else []
    choices = [await _of_command(conn, tenant, verb, row) for row in rows]
    entities = await views.entities_like(conn, tenant, ref) if ref else []
    if not rows and not entities and (entity := await views.resolve(conn, tenant, ref)) is not None:
        entities = [entity]  # by its whole id, though it is not held
    return [*filter(None, choices), *(_of_entity(verb, entity) for entity in entities)]


async def _of_command(conn: "Connection", tenant: str, verb: str, row: "CommandRow") -> Choice | None:
    from daemon.policies.operating import discard_command, release_command, retry_command
    from daemon.storage import views

    entity = await views.resolve(conn, tenant, row.entity)
    if entity is None:
        return None
    say = {"release": release_command, "retry": retry_command, "discard": discard_command}[verb]
    return Choice(row.command, entity, row.reason or "", say(entity, row, operator()))


def _of_entity(verb: str, entity: "Entity") -> Choice:
    from daemon.policies.operating import discard_entity, release_entity, retry_entity

    reason = entity.hold.reason if entity.hold is not None else "closed" if entity.tombstone else ""
    say = {"release": release_entity, "retry": retry_entity, "discard": discard_entity}[verb]
    return Choice(entity.id, entity, reason, say(entity, operator()))


def _meant(choices: list[Choice], ref: str) -> Choice:
    """The one that is meant: that of the whole id, else the only one for which there is something to do."""
    from daemon.policies.plan import Refused

    exact = [choice for choice in choices if choice.id == ref]
    possible = [choice for choice in choices if not isinstance(choice.said, Refused)]
    for found in (exact, possible, choices):
        if len(found) == 1:
            return found[0]
        if found:
            lines = "".join(f"\n  {each.id}  {each.entity.category} {each.reason}" for each in found)
            raise UsageError(f"{len(found)} ids begin with {ref!r}; give more of one:{lines}")
    raise UsageError(f"nothing has the id {ref!r}; `toveis commands` lists what there is")
