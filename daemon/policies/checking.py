"""What `toveis doctor` makes of what it found: each check in words, and what to do where it is not well."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from daemon.domain.subscriptions import TOLD, Health, State

Verdict = Literal["ok", "warning", "failed"]

OLDEST: Final = 150_000
"""PostgreSQL 15 is the oldest that Toveis is tested with."""

SKEW: Final = 30.0
SKEW_AT_MOST: Final = 300.0
"""Seconds: a webhook's signature fails outside five minutes."""

LITTLE: Final = 2 * 1024**3
TOO_LITTLE: Final = 256 * 1024**2
"""Bytes that are free on a disk."""

BROKEN: Final[Mapping[State, str]] = {
    "missing": "run `toveis webhooks register`, or start the daemon",
    "elsewhere": "run `toveis webhooks register`; correct http.public_url if the other address is right",
    "disabled": "run `toveis webhooks register`, then `toveis webhooks test`",
    "incomplete": "run `toveis webhooks register`",
    "unverified": "run `toveis webhooks register`, or configure the secret that Propstreet showed",
}
"""What to do about a webhook that is not as it should be."""


class Check(msgspec.Struct, frozen=True):
    """One line: what was looked at, of which tenant, how it is, and what to do (empty where nothing is)."""

    check: str
    tenant: str | None
    state: Verdict
    detail: str
    advice: str = ""


def configuration(problems: Sequence[str], warnings: Sequence[str]) -> list[Check]:
    """Every problem and every warning of the configuration, or that there is none."""
    found = [Check("configuration", None, "failed", problem, "correct the file") for problem in problems]
    found += [Check("configuration", None, "warning", warning) for warning in warnings]
    return found or [Check("configuration", None, "ok", "every key is known and right")]


def database(number: int, version: str, size: int, encoding: str) -> Check:
    """The server that answered."""
    said = f"PostgreSQL {version}, {megabytes(size)}"
    if number < OLDEST:
        return Check("database", None, "failed", said, "install PostgreSQL 15 or later")
    if encoding != "UTF8":
        advice = "make a database with ENCODING 'UTF8' and move the log there with pg_dump"
        return Check("database", None, "failed", f"{said}, encoding {encoding}", advice)
    return Check("database", None, "ok", said)


def migrations(missing: list[str]) -> Check:
    """Whether the database is of this version."""
    if not missing:
        return Check("migrations", None, "ok", "all applied")
    said = f"{len(missing)} missing, from {missing[0]}"
    return Check("migrations", None, "failed", said, "run `toveis migrate`")


def append_only(*, member: bool, may: tuple[str, ...], triggers: int) -> Check:
    """Whether the log can only be added to."""
    if not member:
        advice = "GRANT toveis_daemon to the login of database.dsn"
        return Check("append-only", None, "failed", "the login cannot act as toveis_daemon", advice)
    if may:
        said = f"the daemon's role may {', '.join(may)} events"
        advice = f"REVOKE {', '.join(may)} ON toveis.events FROM toveis_daemon"
        return Check("append-only", None, "failed", said, advice)
    if triggers < 2:
        advice = "ALTER TABLE toveis.events ENABLE TRIGGER ALL, and find out who switched it off"
        return Check("append-only", None, "failed", "a trigger that refuses changes is off", advice)
    return Check("append-only", None, "ok", "the log can be read and added to, and nothing else")


def views(tenant: str, *, fits: bool, stale: bool, behind: int, runs: bool) -> Check:
    """Whether the views are of this version and of this log. `runs`: a daemon has the tenant."""
    if not fits:
        said = "they are those of another version"
        return Check("views", tenant, "failed", said, "start the daemon, or run `toveis replay`")
    if stale:
        said = "they were folded with other settings or another version"
        return Check("views", tenant, "warning", said, "start the daemon, or run `toveis replay`")
    if behind and not runs:
        return Check(
            "views", tenant, "warning", f"{behind} events behind, no daemon runs", "start the daemon"
        )
    return Check("views", tenant, "ok", f"{behind} events behind" if behind else "up to date")


def log(tenant: str, position: int, missing: int, unreadable: str | None) -> Check:
    """Whether the newest events are whole."""
    if missing:
        said, advice = f"{missing} positions are missing", "restore a backup; run `toveis verify` first"
        return Check("log", tenant, "failed", said, advice)
    if unreadable is not None:
        return Check("log", tenant, "failed", unreadable, "install the version that it names")
    said = f"{position} events; the newest are whole" if position else "empty"
    return Check("log", tenant, "ok", said)


Answered = Literal["answered", "refused", "limited", "away"]


def credentials(tenant: str, vendor: str, answer: Answered, said: str) -> Check:
    """What a vendor answered to a real call."""
    name = f"{vendor} login"
    keys = "customer_id, username and password" if vendor == "vitec" else "client_id and client_secret"
    match answer:
        case "answered":
            return Check(name, tenant, "ok", said)
        case "refused":
            advice = f"check {keys} of tenants.{vendor}; a closed account refuses everything"
            return Check(name, tenant, "failed", said, advice)
        case "limited":
            return Check(name, tenant, "warning", said, "wait; the daemon waits, too")
        case "away":
            return Check(name, tenant, "failed", said, f"check tenants.{vendor}.base_url and the way out")


def clock(tenant: str, vendor: str, skew: float | None) -> Check:
    """Our clock beside a vendor's; `skew` is by how many seconds the vendor's is ahead."""
    name = f"{vendor} clock"
    if skew is None:
        return Check(name, tenant, "warning", "it did not tell its time")
    said = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    advice = "set this machine's clock (timedatectl set-ntp true)"
    if abs(skew) > SKEW_AT_MOST:
        return Check(name, tenant, "failed", f"{said}: signatures of webhooks fail", advice)
    if abs(skew) > SKEW:
        return Check(name, tenant, "warning", said, advice)
    return Check(name, tenant, "ok", "agrees with ours")


Reached = Literal["daemon", "nobody", "stranger", "unresolved", "unasked"]


def public_url(url: str | None, reached: Reached, said: str = "", *, runs: bool = True) -> Check:
    """Whether the vendors' way to us is open; `said` is what stood in the way."""
    if url is None:
        advice = 'set http.public_url, as in "https://sync.example.no": without it only polls bring changes'
        return Check("public url", None, "warning", "none is configured", advice)
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        advice = "put TLS before the port, and write https://"
        return Check("public url", None, "failed", f"{url} is not encrypted", advice)
    match reached:
        case "daemon":
            said = f"{url} leads here" + ("" if parts.scheme == "https" else ", on this machine alone")
            return Check("public url", None, "ok", said)
        case "unresolved":
            return Check("public url", None, "failed", f"{parts.hostname} has no address", "correct the name")
        case "nobody" if not runs:
            return Check(
                "public url", None, "warning", "no daemon runs to answer there", "start it, ask again"
            )
        case "nobody":
            advice = "check TLS, the firewall and the proxy before http.port"
            return Check("public url", None, "failed", f"nobody answers at {url}: {said}", advice)
        case "stranger":
            advice = "forward /webhooks/ (and /healthz, if you like) to http.port"
            return Check("public url", None, "failed", f"something else answers at {url}: {said}", advice)
        case "unasked":
            return Check("public url", None, "warning", f"{url} was not asked")


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def webhook(tenant: str, state: State, health: Health | None, shown: str) -> Check:
    """Propstreet's subscription as it was seen now; `shown` is when something came last."""
    name = "propstreet webhook"
    if state in BROKEN:
        return Check(name, tenant, "failed", TOLD[state], BROKEN[state])
    if state in ("unwatched", "none") or health is None or health.heard_at is None:
        said = TOLD[state] if state in ("unwatched", "none") else "it is on; nothing has come yet"
        advice = "" if state == "none" else "run `toveis webhooks test`"
        return Check(name, tenant, "ok" if state == "working" else "warning", said, advice)
    if health.state == "silent":
        return Check(name, tenant, "warning", TOLD["silent"], "run `toveis webhooks test`")
    return Check(name, tenant, "ok", f"it is on; the last delivery came {shown}")


def notifications(tenant: str, health: Health | None, shown: str, *, secret: bool, hub: bool) -> Check:
    """What Vitec told us last."""
    name = "vitec notifications"
    if hub:
        return Check(name, tenant, "ok", "the Hub has none; polls bring its estates")
    if not secret:
        return Check(name, tenant, "warning", "tenants.vitec.webhook_secret is not set", "set it, ask Vitec")
    if health is None or health.heard_at is None:
        advice = "send Vitec the request of `toveis webhooks list --show-secret`"
        return Check(name, tenant, "warning", "nothing has come yet", advice)
    if health.state == "silent":
        advice = "ask Vitec whether the subscription is on, and look at the proxy's log"
        return Check(name, tenant, "warning", TOLD["silent"], advice)
    return Check(name, tenant, "ok", f"the last one came {shown}")


def disk(place: str, free: int, whole: int) -> Check:
    """Room where we keep our data."""
    said = f"{megabytes(free)} of {megabytes(whole)} free at {place}"
    advice = "make room: a full disk stops the log, and webhooks are refused"
    if free < TOO_LITTLE:
        return Check("disk", None, "failed", said, advice)
    return Check("disk", None, "warning" if free < LITTLE else "ok", said, advice if free < LITTLE else "")


def first_sync(tenant: str, waiting: int) -> Check:
    """What only the first polls saw."""
    if not waiting:
        return Check("first sync", tenant, "ok", "nothing waits for its release")
    advice = "`toveis backfill --dry-run` says what would be done, `toveis backfill` does it"
    return Check("first sync", tenant, "warning", f"{waiting} wait for their release", advice)


def embedded(*, root: bool) -> Check:
    """The embedded PostgreSQL does not run as root."""
    if not root:
        return Check("embedded database", None, "ok", "runs as this user")
    advice = "run Toveis as a user of its own, or set database.dsn"
    return Check("embedded database", None, "warning", "started by root, it runs as another user", advice)


def time_zones(*, known: bool) -> Check:
    """Vitec's times are Swedish wall-clock time."""
    if known:
        return Check("time zones", None, "ok", "Europe/Stockholm is known")
    return Check("time zones", None, "failed", "Europe/Stockholm is not known", "install the package tzdata")


def not_looked_at(names: list[str], why: str) -> list[Check]:
    """What could not be looked at, because something else must be mended first."""
    return [Check(name, None, "warning", f"not looked at: {why}") for name in names]


def megabytes(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1024**3:.1f} GB" if count >= 1024**3 else f"{count / 1024**2:.0f} MB"


def ago(then: datetime | None, now: datetime) -> str:
    """How long ago something was."""
    if then is None:
        return "never"
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
