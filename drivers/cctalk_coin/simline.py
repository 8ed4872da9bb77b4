"""A one-wire line with its mishaps, between a host and us: lost, garbled, late; our own bytes come back. Pure."""

from drivers.cctalk_coin.simhost import Faults


class Bus:
    """Bytes on their way, each with the time at which it arrives."""

    def __init__(self, faults: Faults) -> None:
        """Nothing is on the way."""
        self._faults = faults
        self._to_us: list[tuple[float, bytes]] = []
        self._to_host: list[tuple[float, bytes]] = []

    def host_says(self, raw: bytes, now: float) -> None:
        """A request goes out."""
        faults = self._faults
        if raw and not faults.cut and not faults.take("drop_requests"):
            self._to_us.append((now, self._garbled(raw)))

    def we_say(self, raw: bytes, now: float) -> None:
        """A reply goes out; the line is one wire, so it comes back to us, too."""
        faults = self._faults
        if not raw:
            return
        if not faults.no_echo:
            self._to_us.append((now, raw))
        if not faults.cut and not faults.take("drop_replies"):
            self._to_host.append((now + faults.late_ms / 1000, self._garbled(raw)))

    def for_us(self, now: float) -> bytes:
        """What has arrived at our end."""
        return _arrived(self._to_us, now)

    def for_host(self, now: float) -> bytes:
        """What has arrived at the host."""
        return _arrived(self._to_host, now)

    def _garbled(self, raw: bytes) -> bytes:
        if not self._faults.take("garbage"):
            return raw
        middle = len(raw) // 2
        return raw[:middle] + bytes((raw[middle] ^ 0x55,)) + raw[middle + 1 :]


def _arrived(queue: list[tuple[float, bytes]], now: float) -> bytes:
    there = [raw for at, raw in queue if at <= now]
    queue[:] = [(at, raw) for at, raw in queue if at > now]
    return b"".join(there)
