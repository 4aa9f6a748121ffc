"""The sandbox world: both twins on loopback, and the configuration file with which a daemon finds them."""

import base64
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from daemon.sandbox.people import People
from daemon.sandbox.steps import CATEGORIES, COMPANY_CATEGORIES
from daemon.sandbox.twins.propstreet import PropstreetTwin
from daemon.sandbox.twins.propstreet import Switches as PropstreetSwitches
from daemon.sandbox.twins.server import serve
from daemon.sandbox.twins.vitec_connect import Switches as VitecSwitches
from daemon.sandbox.twins.vitec_connect import VitecConnectTwin

TENANT = "oslo"
WEBHOOK_SECRET = "whsec_" + base64.b64encode(b"the sandbox signs with this key.").decode()
PATH_SECRET = "sandbox-path-secret-0001"
FREE = "{ per_second = 0, per_minute = 0, per_hour = 0, concurrency = 16 }"

CONFIGURATION = """\
mode = "live"

[database]
data_dir = "{data_dir}"

[http]
port = {port}
{public}

[[tenants]]
name = "{tenant}"

[tenants.vitec]
base_url = "{vitec}"
customer_id = "{customer_id}"
username = "{username}"
password = "{password}"
webhook_secret = "{path_secret}"
poll_interval = "{poll}"
limits = {free}

[tenants.propstreet]
base_url = "{propstreet}"
client_id = "{client_id}"
client_secret = "{client_secret}"
{signed}
poll_interval = "{poll}"
limits = {free}

[tenants.sync]
first_sync = "now"
note = "strategy"
categories = {categories}
company_categories = {company_categories}
"""


class World:
    """Both vendors with their people, and where a daemon finds them."""

    def __init__(
        self, vitec: VitecConnectTwin, propstreet: PropstreetTwin, vitec_url: str, propstreet_url: str
    ) -> None:
        self.vitec = vitec
        self.propstreet = propstreet
        self.vitec_url = vitec_url
        self.propstreet_url = propstreet_url
        self.people = People(vitec, propstreet)
        self.port = free_port()

    def subscribe(self, *, propstreet: bool = True) -> None:
        """Both vendors tell the daemon's open port whatever changes, of every kind; or Vitec alone."""
        if propstreet:
            address = f"{self.daemon_url}/webhooks/propstreet/{TENANT}"
            self.propstreet.add_webhook(address, secret=WEBHOOK_SECRET)
        self.vitec.subscribe(f"{self.daemon_url}/webhooks/vitec/{TENANT}/{PATH_SECRET}")

    @property
    def daemon_url(self) -> str:
        """Where the daemon of `configuration` listens."""
        return f"http://127.0.0.1:{self.port}"

    def configuration(self, data_dir: Path, poll: str, *, registers: bool = False) -> str:
        """The text of a configuration file; with `registers` the daemon makes its own webhook at Propstreet."""
        return CONFIGURATION.format(
            public=f'public_url = "{self.daemon_url}"' if registers else "",
            signed="" if registers else f'webhook_secret = "{WEBHOOK_SECRET}"',
            data_dir=str(data_dir).replace("\\", "\\\\").replace('"', '\\"'),
            port=self.port,
            tenant=TENANT,
            vitec=self.vitec_url,
            customer_id=self.vitec.customer_id,
            username=self.vitec.username,
            password=self.vitec.password,
            path_secret=PATH_SECRET,
            poll=poll,
            propstreet=self.propstreet_url,
            client_id=self.propstreet.client_id,
            client_secret=self.propstreet.client_secret,
            free=FREE,
            categories=_table(CATEGORIES),
            company_categories=_table(COMPANY_CATEGORIES),
        )


def _table(table: dict[str, str]) -> str:
    return "{ " + ", ".join(f'"{name}" = "{tag}"' for name, tag in table.items()) + " }"


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def world(
    seed: int = 0,
    *,
    vitec: VitecSwitches | None = None,
    propstreet: PropstreetSwitches | None = None,
) -> AsyncIterator[World]:
    """Both twins up, without limits, with nobody in them yet. A project's classification can be written, if left out."""
    async with AsyncExitStack() as stack:
        at_vitec = VitecConnectTwin(vitec, seed=seed)
        at_propstreet = PropstreetTwin(
            propstreet or PropstreetSwitches(ps5="accepted"), seed=seed, limits=None
        )
        stack.push_async_callback(at_vitec.close)
        stack.push_async_callback(at_propstreet.close)
        vitec_url = await stack.enter_async_context(serve(at_vitec.app))
        propstreet_url = await stack.enter_async_context(serve(at_propstreet.app))
        yield World(at_vitec, at_propstreet, vitec_url, propstreet_url)
