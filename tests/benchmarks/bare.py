"""The companion of ingest: the same route on the same server, the signature checked, and no database.

python -m tests.benchmarks.bare PORT
"""

import sys
import time

from aiohttp import web

from daemon.domain.signatures import key_of, verify
from daemon.sandbox.world import WEBHOOK_SECRET

KEY = key_of(WEBHOOK_SECRET)


async def propstreet(request: web.Request) -> web.Response:
    """Check and answer."""
    verify([KEY], request.headers, await request.read(), time.time())
    return web.Response(text="stored")


async def readyz(_: web.Request) -> web.Response:
    """Up is ready."""
    return web.Response(text="ok")


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/webhooks/propstreet/{tenant}", propstreet)
    app.router.add_get("/readyz", readyz)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
