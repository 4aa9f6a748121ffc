"""Word to systemd, or to whoever else gave us a socket for it (sd_notify): ready, alive, reloading, stopping."""

import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends to `NOTIFY_SOCKET`, a path or, with an `@`, an abstract name; without one it says nothing.

    What cannot be sent is dropped: no supervisor is worth a daemon that stands still.
    """

    def __init__(self, env: Mapping[str, str], pid: int) -> None:
        name = env.get("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        named, mine = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID") or str(pid)
        self.watched = bool(self._address) and named.isdecimal() and int(named) > 0 and mine == str(pid)
        """Whether somebody waits for our signs of life."""

    def say(self, *assignments: str) -> None:
        """One message of one or more assignments, such as `READY=1`."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(assignments).encode(), self._address)

    def status(self, text: str, *assignments: str) -> None:
        """What `systemctl status` shows of us, with other assignments."""
        self.say(*assignments, f"STATUS={text.replace(chr(10), ' ')}")


SILENT = Notifier({}, 0)
"""Nobody listens."""
