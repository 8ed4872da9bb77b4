"""A device node like /dev/hidraw0 that a program serves: for simulated HID devices, opened by the real hidapi. Linux.

The node is the one file of a FUSE file system; reports go by write, read, poll and ioctl (linux/hidraw.h), whose
numbers hold the sizes that FUSE needs to carry them. It is served by a process of its own, this very file: libfuse
changes the working folder and the signals of its process, and hidapi opens and closes while no other thread of Python
runs, so a node in the same process would never answer. That process answers by itself what needs nobody (open, close,
what the device is), and asks us for the rest by a socket of packets:

    to us    R ready          S <report> set feature     G <size> get feature      W <report> output report
    from us  = <report> well  ! <errno> refused          < <report> input report   + plugged in    - pulled out

It ends with its socket. Mounting needs root, or FUSE's own fusermount3.
"""

import ctypes
import errno
import os
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Final, NoReturn

NAME: Final = "hidraw0"
START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0
PACKET: Final = 4200
BUS_USB: Final = 3
_POLLIN, _POLLOUT, _POLLGONE = 0x001, 0x004, 0x018  # <poll.h>; the last is POLLERR | POLLHUP
_DESCRIPTOR_SIZE, _DESCRIPTOR, _INFO, _SET_FEATURE, _GET_FEATURE = 0x01, 0x02, 0x03, 0x06, 0x07


class HidrawNode:
    """Our end of a node. For one thread at a time."""

    def __init__(self, folder: Path, descriptor: bytes, usb: str) -> None:
        """Mounts at `folder`, which is made; the device is plugged in. Raises OSError that says what is missing."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / NAME
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-P", __file__, str(folder), str(theirs.fileno()), descriptor.hex(), usb]
        with theirs, tempfile.TemporaryFile("w+") as words:
            pass_fds = [theirs.fileno()]
            self._process = subprocess.Popen(  # noqa: S603 - this file, by this Python
                command, pass_fds=pass_fds, stderr=words, start_new_session=True
            )
            theirs.close()
            if not (select.select([self._ours], [], [], START_SECONDS)[0] and _received(self._ours)):
                self.close()
                words.seek(0)
                told = words.read().strip().splitlines()
                raise OSError(errno.ENODEV, f"no device node can be served: {told[-1] if told else 'no reason told'}")
        self.plugged = True

    def plug(self) -> None:
        """The node is there and can be opened."""
        self.plugged = True
        self._say(b"+")

    def unplug(self) -> None:
        """The node is gone; whoever has it open is told so at each call."""
        self.plugged = False
        self._say(b"-")

    def request(self, seconds: float) -> bytes:
        """What the device is asked next, to be answered or refused; b"" if nothing is within so many seconds."""
        if not select.select([self._ours], [], [], seconds)[0]:
            return b""
        packet = _received(self._ours)
        if not packet:
            self.plugged = False  # the process has gone, and the node with it
            time.sleep(seconds)
        return packet

    def answer(self, report: bytes = b"") -> None:
        """The request was carried out."""
        self._say(b"=" + report)

    def refuse(self, number: int) -> None:
        """The request fails with this errno."""
        self._say(b"!" + bytes((number,)))

    def show(self, report: bytes) -> None:
        """An input report comes in."""
        self._say(b"<" + report)

    def close(self) -> None:
        """Take the node away; idempotent."""
        self._ours.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            ctypes.CDLL(None).umount2(os.fsencode(self.folder), 2)  # MNT_DETACH
        if not self.folder.is_mount() and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _say(self, packet: bytes) -> None:
        try:
            self._ours.send(packet)
        except (BrokenPipeError, ConnectionResetError):
            self.plugged = False  # the process has gone, and the node with it


class _Node:
    """The file system, in the process that serves it: mfusepy calls these."""

    use_ns = True

    def __init__(self, fuse: Any, line: socket.socket, descriptor: bytes, usb: str) -> None:
        self._library = fuse._libfuse  # noqa: SLF001 - mfusepy leaves waking up who polls to its caller
        self._line, self._descriptor = line, descriptor
        self._info = struct.pack("<IHH", BUS_USB, *(int(part, 16) for part in usb.split(":")))
        self._lock = threading.Lock()
        self._answered = threading.Condition(self._lock)
        self._answers: deque[bytes] = deque()
        self._inputs: deque[bytes] = deque()
        self._waiting: list[int] = []
        self._plugged, self._turn = True, 0
        self._serves = threading.get_ident()

    def init(self, _path: str) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        self._line.send(b"R")

    def getattr(self, path: str, opened: Any = None) -> dict[str, int]:
        common = {"st_uid": os.getuid(), "st_gid": os.getgid()}
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2, **common}
        if path != f"/{NAME}" or not (self._plugged or opened):
            raise OSError(errno.ENOENT, path)
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": 0, **common}

    def readdir(self, _path: str, _opened: int) -> list[str]:
        return [".", "..", *([NAME] if self._plugged else [])]

    def open(self, _path: str, opened: Any) -> int:
        opened.direct_io, opened.nonseekable, opened.fh = 1, 1, self._turn
        return 0

    def write(self, _path: str, data: bytes, _offset: int, opened: Any) -> int:
        self._asked(b"W" + data, opened)
        return len(data)

    def read(self, path: str, size: int, _offset: int, opened: Any) -> bytes:
        with self._lock:
            if self._gone(opened):
                raise OSError(errno.EIO, path)
            return self._inputs.popleft()[:size] if self._inputs else b""

    def poll(self, _path: str, opened: Any, handle: int | None, events: Any) -> int:
        with self._lock:
            self._waiting += [handle] if handle else []
            events[0] = _POLLGONE if self._gone(opened) else _POLLOUT | (_POLLIN if self._inputs else 0)
        return 0

    def ioctl(self, path: str, command: int, _argument: Any, opened: Any, _flags: int, data: int) -> int:
        number, size = command & 0xFF, command >> 16 & 0x3FFF
        if self._gone(opened):
            raise OSError(errno.ENODEV, path)
        if number == _SET_FEATURE:
            self._asked(b"S" + ctypes.string_at(data, size), opened)
            return size
        if number == _GET_FEATURE:
            told = self._asked(b"G" + bytes((size,)), opened)[:size]
        elif number == _DESCRIPTOR_SIZE:
            told = struct.pack("<i", len(self._descriptor))
        elif number == _DESCRIPTOR:
            told = struct.pack("<I", len(self._descriptor)) + self._descriptor
        elif number == _INFO:
            told = self._info
        else:
            raise OSError(errno.EINVAL, path)  # as hidraw does for what it does not know
        ctypes.memmove(data, told, len(told))
        return len(told) if number == _GET_FEATURE else 0

    def _gone(self, opened: Any) -> bool:
        """Whether the device that was opened has been pulled out since."""
        return not self._plugged or int(opened.fh) != self._turn

    def _asked(self, packet: bytes, opened: Any) -> bytes:
        """What our owner answers. One request at a time: the file system is served by one thread."""
        if self._gone(opened):
            raise OSError(errno.ENODEV, NAME)
        self._line.send(packet)
        with self._answered:
            while not self._answers:
                self._answered.wait()
            answer = self._answers.popleft()
        if answer[:1] == b"!":
            raise OSError(answer[1], NAME)
        return answer[1:]

    def _listen(self) -> None:
        while packet := _received(self._line):
            with self._answered:
                self._take(packet)
                waiting, self._waiting = self._waiting, []
                self._answered.notify_all()
            for handle in waiting:  # whoever polls looks again
                self._library.fuse_notify_poll(ctypes.c_void_p(handle))
                self._library.fuse_pollhandle_destroy(ctypes.c_void_p(handle))
        with self._answered:
            self._answers.append(b"!" + bytes((errno.ENODEV,)))
            self._answered.notify_all()
        signal.pthread_kill(self._serves, signal.SIGTERM)  # libfuse unmounts and returns

    def _take(self, packet: bytes) -> None:
        kind, rest = packet[:1], packet[1:]
        if kind in b"+-":
            self._plugged, self._turn = kind == b"+", self._turn + 1
            self._inputs.clear()
        elif kind == b"<":
            self._inputs.append(rest)
        else:
            self._answers.append(packet)


def _received(line: socket.socket) -> bytes:
    """A packet; b"" once nobody is at the other end."""
    try:
        return line.recv(PACKET)
    except ConnectionResetError:
        return b""


def main() -> NoReturn:
    """Serve a node: folder, descriptor of the socket, report descriptor, USB numbers."""
    folder, line, descriptor, usb = sys.argv[1:]
    try:
        import mfusepy
    except (ImportError, OSError) as error:
        sys.exit(f"{error}: install mfusepy (pip) and libfuse3 (apt: fuse3)")
    node = _Node(mfusepy, socket.socket(fileno=int(line)), bytes.fromhex(descriptor), usb)
    caching = {"entry_timeout": 0, "attr_timeout": 0, "negative_timeout": 0}
    mfusepy.FUSE(node, folder, raw_fi=True, foreground=True, nothreads=True, fsname="hidraw", **caching)
    sys.exit(0)


if __name__ == "__main__":
    main()
