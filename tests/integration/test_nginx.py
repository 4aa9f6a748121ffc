"""The example for nginx: what passes, what does not, and that no file of it ever holds Vitec's secret."""

import io
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from daemon.sandbox.twins.server import serve
from daemon.sandbox.world import free_port
from tests.conftest import eventually

EXAMPLE = Path(__file__).parents[2] / "systemd" / "nginx.conf.example"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SECRET = "a-path-that-nobody-guesses"

pytestmark = pytest.mark.skipif(
    NGINX is None or shutil.which("openssl") is None, reason="nginx and openssl are not installed here"
)

MAIN = """\
{user}
daemon off;
pid {at}/nginx.pid;
error_log {at}/logs/main.log;
events {{ }}
http {{
    client_body_temp_path {at}/body;
    proxy_temp_path {at}/proxy;
    fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi;
    scgi_temp_path {at}/scgi;
    include {at}/toveis.conf;
}}
"""


class Behind:
    """The open port, as far as nginx is concerned: takes everything, and remembers it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def app(self) -> web.Application:
        app = web.Application(client_max_size=8 * 2**20)
        app.router.add_route("*", "/{rest:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        await request.read()
        self.seen.append((request.method, request.raw_path, request.headers["X-Forwarded-For"]))
        return web.Response(text="stored")


@pytest.fixture
def behind() -> Behind:
    return Behind()


def configured(at: Path, upstream: int, port: int) -> None:
    """The example with places and ports of a test, each of which stands in it as it was replaced."""
    text = EXAMPLE.read_text("utf-8")
    for old, new in (
        ("127.0.0.1:8080", f"127.0.0.1:{upstream}"),
        ("listen 80;", f"listen 127.0.0.1:{free_port()};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        ("    listen [::]:80;\n", ""),
        ("    listen [::]:443 ssl;\n", ""),
        ("/etc/letsencrypt/live/sync.example.no/fullchain.pem", f"{at}/cert.pem"),
        ("/etc/letsencrypt/live/sync.example.no/privkey.pem", f"{at}/key.pem"),
        ("/var/log/nginx/toveis.access.log", f"{at}/logs/access.log"),
        ("/var/log/nginx/toveis.error.log", f"{at}/logs/error.log"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (at / "toveis.conf").write_text(text, "utf-8")
    user = "user root;" if os.geteuid() == 0 else ""
    (at / "nginx.conf").write_text(MAIN.format(at=at, user=user), "utf-8")
    (at / "logs").mkdir()
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=sync.example.no"]
    subprocess.run(
        ["openssl", *made, "-keyout", f"{at}/key.pem", "-out", f"{at}/cert.pem"],
        check=True,
        capture_output=True,
    )


@pytest.fixture
async def front(tmp_path: Path, behind: Behind) -> AsyncIterator[str]:
    """The address of nginx before `behind`."""
    port = free_port()
    async with serve(behind.app()) as address:
        configured(tmp_path, URL(address).port or 0, port)
        async with nginx(tmp_path, port):
            yield f"https://127.0.0.1:{port}"


@asynccontextmanager
async def nginx(at: Path, port: int) -> AsyncIterator[None]:
    """It checks the file without a word of complaint, and runs."""
    words = [str(NGINX), "-p", str(at), "-c", f"{at}/nginx.conf", "-e", f"{at}/logs/first.log"]
    checked = subprocess.run([*words, "-t"], capture_output=True, text=True)  # noqa: ASYNC221 - it returns at once
    said = [line for line in checked.stderr.splitlines() if "[" in line]
    assert (checked.returncode, said) == (0, []), checked.stderr
    with (at / "logs" / "stderr.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)  # noqa: ASYNC220 - the same
    try:
        await eventually(lambda: listens(port), 30.0)
        yield
    finally:
        process.terminate()
        process.wait(20)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def ask(front: str, path: str, method: str = "POST", body: bytes = b"{}") -> int:
    """The status of an answer; the path leaves as it stands."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method,
            URL(front + path, encoded=True),
            data=io.BytesIO(body),
            ssl=False,
            allow_redirects=False,
            headers={"X-Forwarded-For": "6.6.6.6"},
        ) as answer,
    ):
        return answer.status


async def test_what_vendors_and_forms_need_passes_as_it_came_with_the_true_sender(
    front: str, behind: Behind
) -> None:
    passes = [
        ("POST", "/webhooks/propstreet/oslo"),
        ("POST", f"/webhooks/vitec/oslo/{SECRET}?type=Contact&id=ADR1"),
        ("POST", "/lead"),
        ("GET", "/lead?customer_id=M11385"),
        ("GET", "/lead-sources?customer_id=M11385"),
        ("GET", "/lead_sources?customer_id=M11385"),
        ("POST", "/Interest/SendInterestAndContactOnEstate"),
        ("POST", "/Advertising/Estate/M11385/OBJ1/FinalPriceWatched"),
    ]
    for method, path in passes:
        assert await ask(front, path, method) == 200
    assert behind.seen == [(method, path, "127.0.0.1") for method, path in passes]


async def test_nothing_else_passes(front: str, behind: Behind) -> None:
    for path in ("/", "/healthz", "/readyz", "/metrics", "/leads", "/lead/1", "/webhook/x", "/interest/x"):
        assert await ask(front, path, "GET") == 404
    assert await ask(front, "/webhooks/../metrics", "GET") == 404
    assert await ask(front, "/webhooks/propstreet/oslo", body=b"x" * (2**20 + 1)) == 413
    assert await ask(front, "/webhooks/propstreet/oslo", body=b"x" * 2**20) == 200
    assert len(behind.seen) == 1


async def test_the_secret_of_vitecs_path_is_in_no_file_also_when_the_daemon_is_away(
    tmp_path: Path, behind: Behind
) -> None:
    port = free_port()
    configured(tmp_path, free_port(), port)  # nobody listens there
    async with nginx(tmp_path, port):
        front = f"https://127.0.0.1:{port}"
        path = f"/webhooks/vitec/oslo/{SECRET}"
        odd = [path, f"/{path}", path.replace("vitec", "%76itec"), f"/webhooks/x/../vitec/oslo/{SECRET}"]
        for each in (*odd, f"{path}?id=ADR1"):
            assert await ask(front, each) == 502
        assert await ask(front, path, body=b"x" * (2**20 + 1)) == 413
        assert await ask(front, "/webhooks/propstreet/oslo") == 502
    text = (tmp_path / "logs" / "access.log").read_text("utf-8")
    assert len(text.splitlines()) == 7
    assert text.count("/webhooks/vitec/- 502") == 5
    assert "/webhooks/propstreet/oslo 502" in text
    for file in (tmp_path / "logs").iterdir():
        assert SECRET.encode() not in file.read_bytes(), file.name
