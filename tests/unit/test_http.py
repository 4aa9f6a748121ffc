from collections.abc import AsyncIterator, Mapping

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from daemon.vendors.http import Endpoint, Route
from daemon.vendors.limiter import Limiter

POST = Route("POST", "/leads", "create")


class Vendor:
    """Takes everything in and remembers what arrived: the headers and the bytes."""

    def __init__(self) -> None:
        self.asked: list[tuple[Mapping[str, str], bytes]] = []
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers, await request.read()))
        return web.Response(status=204)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    await vendor.server.start_server()
    yield vendor
    await vendor.server.close()


@pytest.fixture
async def endpoint(vendor: Vendor) -> AsyncIterator[Endpoint]:
    async with aiohttp.ClientSession() as session:
        yield Endpoint(session, str(vendor.server.make_url("")), Limiter(None, None, None, 5))


@pytest.mark.parametrize(
    "body", [b' {"b" : 1.10,\r\n"a":"\\u00c5"}', '{"name":"Åsa"}'.encode(), b"not even JSON \xff", b""]
)
async def test_a_body_of_bytes_leaves_byte_for_byte_as_json(
    endpoint: Endpoint, vendor: Vendor, body: bytes
) -> None:
    await endpoint.call(POST, body=body)
    ((headers, arrived),) = vendor.asked
    assert arrived == body
    assert headers["Content-Type"] == "application/json"


async def test_any_other_body_leaves_as_compact_json(endpoint: Endpoint, vendor: Vendor) -> None:
    await endpoint.call(POST, body={"name": "Åsa", "at": None})
    ((headers, arrived),) = vendor.asked
    assert arrived == '{"name":"Åsa","at":null}'.encode()
    assert headers["Content-Type"] == "application/json"


async def test_a_post_without_a_body_says_that_it_has_none(endpoint: Endpoint, vendor: Vendor) -> None:
    await endpoint.call(POST)
    ((headers, arrived),) = vendor.asked
    assert arrived == b""
    assert headers["Content-Length"] == "0"
