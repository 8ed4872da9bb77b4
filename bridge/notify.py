"""Tells systemd how the service is (sd_notify(3)); does nothing where nobody asked.

Protocol: a datagram of KEY=VALUE lines to the UNIX socket named by NOTIFY_SOCKET; a leading "@" stands for NUL.
"""

import logging
import os
import socket

log = logging.getLogger(__name__)


def notify(state: str) -> None:
    """Send e.g. `READY=1`, `STOPPING=1`, `WATCHDOG=1`; a service that cannot be told goes on all the same."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(1.0)
            sender.connect(address)
            sender.send(state.encode())
    except OSError as error:
        log.warning("systemd was not told %s: %s", state, error)


def watchdog_seconds() -> float | None:
    """How often systemd wants to hear `WATCHDOG=1` (half of its limit); None if it does not."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not limit.isdecimal() or (pid and pid != str(os.getpid())):
        return None
    return int(limit) / 1_000_000 / 2
