"""What of a new configuration a daemon that runs can take on, and what waits for its next start."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from daemon.domain.settings import Limits, Secret, Settings, TenantSettings

WINDOWS = ("per_second", "per_minute", "per_hour")


class Reload(msgspec.Struct, frozen=True):
    """The settings that hold from now on.

    `changed` are the keys that were taken on, each with its two values (no secret is among them); `restart` are the keys
    of what holds only from the next start on. The stages of `tenants` begin anew.
    """

    settings: Settings
    changed: tuple[str, ...]
    restart: tuple[str, ...]
    tenants: frozenset[str]


def reload(now: Settings, file: Settings) -> Reload:
    """Take on what can be: the mode, limits and intervals, and [tenants.sync] as long as no other key of [[tenants]]
    waits for a start; they were checked together, and hold together."""
    found = dict(_differences(now, file))
    restart = {key for key in found if not _reloads(key, *found[key])}
    if any(key.startswith("tenants[") for key in restart):
        restart |= {key for key in found if ".sync." in key}
    taken = {key: values for key, values in found.items() if key not in restart}
    given = {tenant.name: tenant for tenant in file.tenants}
    tenants = tuple(_merged(tenant, given.get(tenant.name, tenant), taken) for tenant in now.tenants)
    mode = file.mode if "mode" in taken else now.mode
    touched = {
        tenant.name for tenant in now.tenants if any(key.startswith(_path(tenant.name)) for key in taken)
    }
    return Reload(
        replace(now, mode=mode, tenants=tenants),
        tuple(f"{key}: {_shown(old)} -> {_shown(new)}" for key, (old, new) in taken.items()),
        tuple(sorted(restart)),
        frozenset({tenant.name for tenant in now.tenants} if "mode" in taken else touched),
    )


def _reloads(key: str, old: Any, new: Any) -> bool:
    """A window that was lifted has counted nothing, so a limit for it holds from the next start on."""
    name = key.rpartition(".")[2]
    if ".limits." in key:
        return name not in WINDOWS or old != 0
    return key == "mode" or ".sync." in key or name == "poll_interval"


def _merged(now: TenantSettings, file: TenantSettings, taken: dict[str, Any]) -> TenantSettings:
    sync = file.sync if any(key.startswith(f"{_path(now.name)}sync.") for key in taken) else now.sync
    sides: dict[str, Any] = {}
    for name in ("vitec", "propstreet"):
        path, here, there = f"{_path(now.name)}{name}.", getattr(now, name), getattr(file, name)
        limits = {field: getattr(there.limits, field) for field in Limits.__struct_fields__}
        kept = {field: value for field, value in limits.items() if f"{path}limits.{field}" in taken}
        every = there.poll_interval if f"{path}poll_interval" in taken else here.poll_interval
        sides[name] = replace(here, limits=replace(here.limits, **kept), poll_interval=every)
    return replace(now, sync=sync, **sides)


def _path(tenant: str) -> str:
    return f"tenants[{tenant}]."


def _differences(now: Settings, file: Settings) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Each key that differs, as the configuration's problems name it, with both values."""
    yield from _apart("", replace(now, tenants=()), replace(file, tenants=()))
    ours, theirs = ({tenant.name: tenant for tenant in each.tenants} for each in (now, file))
    for name in sorted(ours.keys() ^ theirs.keys()):
        yield f"tenants[{name}]", (name in ours, name in theirs)
    for name in (name for name in ours if name in theirs):
        yield from _apart(_path(name), ours[name], theirs[name])


def _apart(path: str, now: msgspec.Struct, file: msgspec.Struct) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for field in now.__struct_fields__:
        old, new = getattr(now, field), getattr(file, field)
        if isinstance(old, msgspec.Struct) and type(old) is type(new) and not isinstance(old, Secret):
            yield from _apart(f"{path}{field}.", old, new)
        elif old != new or _order(old) != _order(new):
            yield f"{path}{field}", (old, new)


def _order(value: object) -> list[object]:
    """The order of a table says which of several categories is written: another order is another table."""
    return list(value) if isinstance(value, dict) else []


def _shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
