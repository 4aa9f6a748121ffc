"""`toveis webhooks`: our webhook at Propstreet, and what to ask Vitec for."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.opening import load, tenant_of, with_config, with_tenant
from daemon.cli.times import moment

if TYPE_CHECKING:
    from daemon.cli import subscribing

JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")


@click.group()
def webhooks() -> None:
    """Our webhook at Propstreet, and the subscription to ask Vitec for.

    The daemon registers its webhook, watches it and mends it by itself, if http.public_url says where it is reached.

    \b
    Example:  toveis webhooks list
    """


@webhooks.command("list")
@click.option("--show-secret", is_flag=True, help="Show Vitec's address with its secret.")
@JSON
@with_tenant
@with_config
def list_(config_file: Path | None, tenant: str | None, show_secret: bool, as_json: bool) -> int:
    """Propstreet's webhooks of our client, and the request to send to Vitec.

    Only Vitec can set up a subscription to its notifications: the request is printed as it has to be sent.

    \b
    Example:  toveis webhooks list
              toveis webhooks list --show-secret > request-to-vitec.txt
              toveis webhooks list --json | jq 'select(.ours)'
    """
    settings = load(config_file, secrets=True)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import subscribing

    request = subscribing.request_of(settings, chosen, show_secret=show_secret)

    def tell() -> int:
        rows = subscribing.at_propstreet(settings, chosen, subscribing.listed)
        subscribing.print_rows(rows, as_json=as_json)
        return 0

    code = subscribing.answered(tell)
    subscribing.print_request(request, as_json=as_json)
    return code


@webhooks.command()
@JSON
@with_tenant
@with_config
def register(config_file: Path | None, tenant: str | None, as_json: bool) -> int:
    """Do now what the daemon does within minutes: register our webhook, switch it on, complete it.

    Webhooks of others are left alone. Exit code 1: it does not work yet.

    \b
    Example:  toveis webhooks register
    """
    from daemon.cli import subscribing

    return _done(config_file, tenant, subscribing.registered, as_json=as_json)


@webhooks.command()
@JSON
@with_tenant
@with_config
def test(config_file: Path | None, tenant: str | None, as_json: bool) -> int:
    """Have Propstreet send a test delivery, and say whether it came into the log.

    The daemon has to run. Exit code 1: it did not arrive.

    \b
    Example:  toveis webhooks test
    """
    from daemon.cli import subscribing

    return _done(config_file, tenant, subscribing.tested, as_json=as_json)


@webhooks.command()
@click.option("--since", metavar="T", help="ISO 8601, or '2h ago'; else since it worked last.")
@JSON
@with_tenant
@with_config
def replay(config_file: Path | None, tenant: str | None, since: str | None, as_json: bool) -> int:
    """Have Propstreet send again what failed, and everything polled at once.

    What comes twice is stored once.

    \b
    Example:  toveis webhooks replay
              toveis webhooks replay --since "3h ago"
    """
    begin = moment(since)
    from daemon.cli import subscribing

    async def replayed(bench: "subscribing.Bench") -> "subscribing.Said":
        return await subscribing.replayed(bench, begin)

    return _done(config_file, tenant, replayed, as_json=as_json)


def _done(
    config_file: Path | None,
    tenant: str | None,
    work: Callable[["subscribing.Bench"], Awaitable["subscribing.Said"]],
    *,
    as_json: bool,
) -> int:
    """Do something about our webhook at Propstreet, and say what came of it."""
    settings = load(config_file, secrets=True)
    chosen = tenant_of(settings, tenant)
    from daemon.cli import subscribing

    subscribing.wants_address(settings)
    return subscribing.answered(
        lambda: subscribing.say(subscribing.at_propstreet(settings, chosen, work), as_json=as_json)
    )
