"""The daemon as a process of its own, as systemd would run it: started, asked, stopped, killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp


class DaemonProcess:
    """`toveis run` with a configuration file; what it logs goes to a file."""

    def __init__(self, config_file: Path, log_file: Path, url: str) -> None:
        self.config_file = config_file
        self.log_file = log_file
        self.url = url
        self.command = [sys.executable, "-m", "daemon"]
        self.env: dict[str, str] = {}
        """What its environment has beside ours."""
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self, patience: float = 30.0) -> None:
        """Start, and wait until it answers that it is ready. Raises RuntimeError with the end of its log."""
        command = [*self.command, "run", "--config", str(self.config_file)]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once, and kill must be immediate
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, **self.env},
            )
        async with aiohttp.ClientSession() as session:
            for _ in range(int(patience / 0.02)):
                if self._process.poll() is not None:
                    break
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)
        tail = self.log_file.read_text("utf-8", "replace")[-2000:]
        raise RuntimeError(f"the daemon did not become ready:\n{tail}")

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    def reload(self) -> None:
        """SIGHUP: it reads its configuration again."""
        os.kill(self.pid, signal.SIGHUP)

    def kill(self) -> None:
        """SIGKILL: no warning, no drain."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def stop(self) -> int:
        """SIGTERM, and wait for the end; its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        code = await asyncio.get_running_loop().run_in_executor(None, self._process.wait)
        self._process = None
        return code
