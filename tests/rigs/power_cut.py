"""Power cuts by replay: reads what `strace` saw of a program's file operations and rebuilds the disk of any instant.

The disk's model: what was synced is there. Of what was not, each 512-byte sector may be missing by itself, whatever
its order; a truncation may be undone; a file's creation, removal or new name counts only after its folder was synced,
and is undone half the time before. A sync covers what was written before it began, and counts from its end. SQLite's
-shm is left out: it is memory. What the program told others (bytes to sockets and serial lines) stands in the same
order.
"""

import copy
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SECTOR: Final = 512
CALLS: Final = (
    "openat,pwrite64,write,ftruncate,fsync,fdatasync,unlink,unlinkat,rename,renameat,renameat2,sendto,sendmsg,writev"
)


def tracer(log: Path) -> list[str]:
    """The command line that goes before the program's own."""
    return [
        *("strace", "-f", "-qq", "-y", "-xx", "--seccomp-bpf", "-s", "1000000"),
        *("-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(log), "--"),
    ]


# --- what happened ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Create:
    path: str
    truncate: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """`offset` None: at the end of what this program has written so far."""

    path: str
    data: bytes
    offset: int | None


@dataclass(frozen=True, slots=True)
class Truncate:
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class SyncBegins:
    path: str
    thread: str


@dataclass(frozen=True, slots=True)
class SyncEnds:
    path: str
    thread: str


@dataclass(frozen=True, slots=True)
class Unlink:
    path: str


@dataclass(frozen=True, slots=True)
class Rename:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Told:
    """Bytes that left the program, to a socket or a terminal. Others may act on them from now on."""

    where: str
    data: bytes


Happening = Create | Write | Truncate | SyncBegins | SyncEnds | Unlink | Rename | Told

_LINE = re.compile(rb"(\d+) +(?:<\.\.\. )?(\w+)(.*)", re.DOTALL)
_STRING = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FD = re.compile(rb"^\((\d+)<((?:\\x[0-9a-f]{2})*)(?:>|\()")
_FOLDER = re.compile(rb"(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>")


def _bytes(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode("ascii"))


def read_log(log: Path, root: Path) -> list[Happening]:
    """Everything that concerns files under `root`, and what was told to others, in the order in which it happened.

    Raises ValueError if the log shows something that the model does not know.
    """
    found: list[Happening] = []
    begun: dict[bytes, bytes] = {}
    with log.open("rb") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue
            thread, call, rest = match[1], match[2], match[3]
            resumed, unfinished = b" resumed>" in rest[:12], rest.rstrip().endswith(b"<unfinished ...>")
            if unfinished:
                begun[thread] = rest
                if call in (b"fsync", b"fdatasync"):
                    found += _sync(rest, thread, root, begins=True, ends=False)
                elif call in (b"write", b"sendto", b"sendmsg", b"writev"):
                    found += _happenings(call, rest, b"= 0", root, thread)  # others may see it from now on
                continue
            if resumed:
                start = begun.pop(thread, b"")
                if call in (b"fsync", b"fdatasync"):
                    if rest.rstrip().endswith(b"= 0"):
                        found += _sync(start, thread, root, begins=False, ends=True)
                    continue
                if call in (b"write", b"sendto", b"sendmsg", b"writev"):
                    continue  # counted when it began
                rest = start.replace(b"<unfinished ...>", b"") + rest
            found += _happenings(call, rest, rest, root, thread)
    return found


def _sync(rest: bytes, thread: bytes, root: Path, *, begins: bool, ends: bool) -> list[Happening]:
    match = _FD.match(rest)
    path = _inside(_bytes(match[2]), root) if match else None
    if path is None:
        return []
    who = thread.decode()
    found: list[Happening] = []
    if begins:
        found.append(SyncBegins(path, who))
    if ends:
        found.append(SyncEnds(path, who))
    return found


def _inside(raw: bytes, root: Path) -> str | None:
    """The path relative to the root, if it is under it; "." for the root itself."""
    text = raw.decode("utf-8", "surrogateescape")
    path = Path(text)
    return str(path.relative_to(root)) if path == root or root in path.parents else None


def _happenings(call: bytes, rest: bytes, result: bytes, root: Path, thread: bytes) -> list[Happening]:
    if re.search(rb"= -\d+ E\w+ ", result[-200:]):
        return []
    if call == b"openat":
        return _opened(rest, root)
    if call in (b"unlink", b"unlinkat", b"rename", b"renameat", b"renameat2"):
        return _named(call, rest, root)
    match = _FD.match(rest)
    if match is None:
        return []
    where = _bytes(match[2])
    path = _inside(where, root)
    if path is None:
        outward = where.startswith((b"TCP", b"socket:", b"/dev/pts/", b"/dev/tty"))
        strings = b"".join(_bytes(one[1]) for one in _STRING.finditer(rest)) if outward else b""
        return [Told(f"{match[1].decode()}<{where.decode()}>", strings)] if strings else []
    if call in (b"fsync", b"fdatasync"):
        return _sync(rest, thread, root, begins=True, ends=True)
    if call == b"ftruncate":
        size = re.search(rb", (\d+)\)", rest)
        return [Truncate(path, int(size[1]))] if size else []
    strings_ = list(_STRING.finditer(rest))
    if any(one[2] for one in strings_):
        raise ValueError("strace has cut a string short: raise its -s")
    data = b"".join(_bytes(one[1]) for one in strings_)
    at = re.search(rb", \d+, (\d+)\) += \d+", rest) if call == b"pwrite64" else None
    return [Write(path, data, int(at[1]) if at else None)]


def _opened(rest: bytes, root: Path) -> list[Happening]:
    name = _STRING.search(rest)
    if name is None or (b"O_CREAT" not in rest and b"O_TRUNC" not in rest):
        return []
    path = _absolute(rest, _bytes(name[1]), root)
    return [Create(path, b"O_TRUNC" in rest)] if path is not None else []


def _absolute(rest: bytes, name: bytes, root: Path) -> str | None:
    folder = _FOLDER.search(rest)
    base = _bytes(folder[1]) if folder and not name.startswith(b"/") else b""
    return _inside(base + b"/" + name if base else name, root)


def _named(call: bytes, rest: bytes, root: Path) -> list[Happening]:
    names = [_absolute(rest, _bytes(one[1]), root) for one in _STRING.finditer(rest)]
    if call.startswith(b"unlink"):
        return [Unlink(names[0])] if names and names[0] is not None else []
    if len(names) == 2 and names[0] is not None and names[1] is not None:
        return [Rename(names[0], names[1])]
    return []


# --- the disk --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Inode:
    """What is safe of a file, what the program sees of it, and the changes between the two."""

    safe: bytearray = field(default_factory=bytearray)
    seen: int = 0
    pending: list[Write | Truncate] = field(default_factory=list)
    syncing: dict[str, int] = field(default_factory=dict)

    def change(self, change: Write | Truncate) -> None:
        """A change that no sync has covered yet."""
        if isinstance(change, Write) and change.offset is None:
            change = Write(change.path, change.data, self.seen)
        if isinstance(change, Write):
            self.seen = max(self.seen, (change.offset or 0) + len(change.data))
        else:
            self.seen = change.size
        self.pending.append(change)

    def synced(self, thread: str) -> None:
        """All that was changed before the sync began is safe."""
        count = self.syncing.pop(thread, 0)
        for change in self.pending[:count]:
            apply(self.safe, change)
        del self.pending[:count]
        self.syncing = {other: max(0, at - count) for other, at in self.syncing.items()}

    def after_cut(self, chance: random.Random, kept: float) -> bytes:
        """What is read of it once the power is back; each unsynced sector is `kept` with that probability."""
        held = bytearray(self.safe)
        for change in self.pending:
            if isinstance(change, Truncate):
                if chance.random() < 0.5:
                    apply(held, change)
                continue
            begin, end = change.offset or 0, (change.offset or 0) + len(change.data)
            at = begin
            while at < end:
                stop = min(end, (at // SECTOR + 1) * SECTOR)
                if chance.random() < kept:
                    apply(held, Write(change.path, change.data[at - begin : stop - begin], at))
                at = stop
        return bytes(held)


def apply(content: bytearray, change: Write | Truncate) -> None:
    """Carry out a change."""
    if isinstance(change, Truncate):
        del content[change.size :]
        content.extend(bytes(change.size - len(content)))
        return
    offset = change.offset or 0
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(change.data)] = change.data


class Disk:
    """A folder's files as the program sees them (`names`), and as its folder is safe on the disk (`entries`)."""

    def __init__(self, root: Path) -> None:
        """What lies there now is safe."""
        self.names: dict[str, Inode] = {}
        for path in root.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                self.names[str(path.relative_to(root))] = Inode(bytearray(content), len(content))
        self.entries = dict(self.names)
        self.undone: list[tuple[str, dict[str, Inode | None]]] = []
        """Changes of names since their folder was synced: the folder, and what stands there afterwards."""
        self._folders_syncing: dict[tuple[str, str], int] = {}

    def step(self, event: Happening) -> None:
        """The program went one operation on."""
        match event:
            case Create() | Unlink() | Rename():
                self._name(event)
            case Write(path) | Truncate(path):
                if path not in self.names:
                    raise ValueError(f"{path} was never made")
                self.names[path].change(event)
            case SyncBegins(path, thread):
                self._sync_begins(path, thread)
            case SyncEnds(path, thread):
                self._sync_ends(path, thread)
            case Told():
                pass

    def _name(self, event: Create | Unlink | Rename) -> None:
        match event:
            case Create(path, truncate):
                if path not in self.names:
                    self._rename(path, Inode())
                elif truncate:
                    self.names[path].change(Truncate(path, 0))
            case Unlink(path):
                if path in self.names:
                    self._rename(path, None)
            case Rename(old, new):
                moved = self.names.pop(old)
                self.names[new] = moved
                self.undone.append((_folder(new), {old: None, new: moved}))

    def _rename(self, path: str, inode: Inode | None) -> None:
        if inode is None:
            del self.names[path]
        else:
            self.names[path] = inode
        self.undone.append((_folder(path), {path: inode}))

    def _sync_begins(self, path: str, thread: str) -> None:
        if path in self.names:
            self.names[path].syncing[thread] = len(self.names[path].pending)
        else:
            self._folders_syncing[(path, thread)] = len(self.undone)

    def _sync_ends(self, path: str, thread: str) -> None:
        if path in self.names:
            self.names[path].synced(thread)
            return
        count = self._folders_syncing.pop((path, thread), 0)
        kept = []
        for place, (folder, change) in enumerate(self.undone):
            if place < count and folder == path:
                _enter(self.entries, change)
            else:
                kept.append((folder, change))
        self.undone = kept

    def after_cut(self, chance: random.Random) -> dict[str, bytes]:
        """What lies in the folder once the power is back: one of the many images that are possible now."""
        entries = dict(self.entries)
        for _, change in self.undone:
            if chance.random() < 0.5:
                _enter(entries, change)
        kept = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        return {
            path: inode.after_cut(chance, kept)
            for path, inode in entries.items()
            if not path.endswith("-shm") and inode is not None
        }


def _enter(entries: dict[str, Inode], change: dict[str, Inode | None]) -> None:
    for path, inode in change.items():
        if inode is None:
            entries.pop(path, None)
        else:
            entries[path] = inode


def _folder(path: str) -> str:
    return str(Path(path).parent)


@dataclass(frozen=True, slots=True)
class Image:
    """A disk after a cut, and how many of the recorded events had happened."""

    at: int
    files: dict[str, bytes]

    def lay_out(self, folder: Path) -> None:
        """Write it where a program can start from it."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def cuts(start: Disk, tape: Sequence[Happening], count: int, seed: int, first: int = 0) -> Iterator[Image]:
    """`count` crash images at random instants of the tape, in their order; half of them right before or after a sync
    or a word to others, where it matters most."""
    chance, disk = random.Random(seed), copy.deepcopy(start)
    telling = [place + 1 for place, event in enumerate(tape) if isinstance(event, Told | SyncEnds) and place >= first]
    instants = sorted(
        chance.choice(telling) if telling and chance.random() < 0.5 else chance.randrange(first, len(tape) + 1)
        for _ in range(count)
    )
    done = 0
    for instant in instants:
        for event in tape[done:instant]:
            disk.step(event)
        done = max(done, instant)
        yield Image(instant, disk.after_cut(chance))
