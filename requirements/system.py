"""What the operating system must bring for Daiko's programs and tests, and by which of apt's packages. For dev.py."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True)
class Need:
    """Something that the operating system brings: what for, how it shows (all that is named), apt's packages.

    `file` is a pattern below the root, for programs that stand in no one's path.
    Each package is a tuple of names; the first that apt knows is taken.
    """

    what: str
    why: str
    packages: tuple[tuple[str, ...], ...]
    library: str = ""
    programs: tuple[str, ...] = ()
    header: str = ""
    file: str = ""

    def missing(self, libraries: str) -> bool:
        """Whether it is not there, given the dynamic linker's list."""
        program = not self.programs or any(shutil.which(name) for name in self.programs)
        header = Path("/usr/include", self.header).exists()  # of no header: the folder
        file = not self.file or any(Path("/").glob(self.file))
        there = self.library in libraries and program and header and file
        return not there or (self is FONT and not japanese_font())


QT = {
    "libGL.so.1": ("libgl1",),
    "libEGL.so.1": ("libegl1",),
    "libglib-2.0.so.0": ("libglib2.0-0t64", "libglib2.0-0"),
    "libfontconfig.so.1": ("libfontconfig1",),
    "libxkbcommon.so.0": ("libxkbcommon0",),
    "libdbus-1.so.3": ("libdbus-1-3",),
}
QT_ON_X11 = {
    "libxcb-cursor.so.0": ("libxcb-cursor0",),
    "libxcb-icccm.so.4": ("libxcb-icccm4",),
    "libxcb-keysyms.so.1": ("libxcb-keysyms1",),
    "libxcb-shape.so.0": ("libxcb-shape0",),
    "libxkbcommon-x11.so.0": ("libxkbcommon-x11-0",),
}
FONT = Need("a Japanese font", "readable Japanese", (("fonts-ipafont-gothic",),))
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER = Need("chromium", "the driver's phone in demo and tests", (("chromium",),), programs=BROWSERS)
PEERS = (
    Need("mbpoll", "a Modbus peer that is not ours", (("mbpoll",),), programs=("mbpoll",)),
    Need("libmodbus", "a Modbus peer that is not ours", (("libmodbus-dev",),), header="modbus/modbus.h"),
    Need("PostgreSQL", "a host's database", (("postgresql",),), file="usr/lib/postgresql/*/bin/postgres"),
    Need("Firebird", "a host's database", (("firebird3.0-server", "firebird4.0-server"),), file="usr/sbin/firebird"),
    Need("FUSE", "the device node of a simulated HID board", (("fuse3",),), library="libfuse3.so."),
    Need(
        "libhidapi", "a HID relay's peer that is not ours", (("libhidapi-hidraw0",),), library="libhidapi-hidraw.so.0"
    ),
    Need("strace", "power cuts replayed in the tests", (("strace",),), programs=("strace",)),
    Need(
        "a C compiler",
        "building that peer, and making a computer go wrong in the tests",
        (("gcc",), ("libc6-dev",)),
        programs=("cc", "gcc"),
        header="stdio.h",
    ),
)


def japanese_font() -> bool:
    """Whether there is a font that shows Japanese, by its file's name."""
    known = re.compile(r"ipag|ipaex|cjk|takao|vl-?gothic|mplus|migu|notosansjp", re.IGNORECASE)
    folders = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path.home() / ".local/share/fonts")
    return any(known.search(file.name) for folder in folders for file in folder.rglob("*.[to]t[fc]"))


def has_display() -> bool:
    """Whether a window could appear."""
    return sys.platform in {"win32", "darwin"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def missing_for(purpose: str, *, environment: bool) -> list[Need]:
    """What `purpose` (a subcommand) wants from the operating system and lacks; Windows and macOS bring everything.

    `environment` says whether there is a Python environment of our own already.
    """
    if not sys.platform.startswith("linux") or purpose == "lock":
        return []
    libraries = QT | (QT_ON_X11 if has_display() else {})
    wanted = [Need(name, "the console's window", (packages,), library=name) for name, packages in libraries.items()]
    wanted += [FONT, BROWSER, *(PEERS if purpose in {"setup", "test", "check", "faults"} else ())]
    tool = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    present = _output(tool, "-p") if tool else " ".join(libraries)  # no ldconfig: not glibc, nothing to say
    missing = [need for need in wanted if need.missing(present)]
    if not environment and not importlib.util.find_spec("ensurepip") and not importlib.util.find_spec("pip"):
        missing.append(
            Need("ensurepip", "a Python environment of its own", ((f"python{VERSION}-venv", "python3-venv"),))
        )
    return missing


def apt_rights() -> tuple[str, ...] | None:
    """What to put before apt-get: nothing for root, sudo where it asks no password; None if we may not install."""
    if os.environ.get("DAIKO_NO_APT") or not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return ("env", "DEBIAN_FRONTEND=noninteractive")
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ("sudo", "-n", "env", "DEBIAN_FRONTEND=noninteractive")
    return None


def choose(packages: Sequence[tuple[str, ...]]) -> tuple[list[str], list[str]]:
    """For each tuple of names the first that apt can install; and those of which apt knows none."""
    names = [name for alternatives in packages for name in alternatives]
    policy = _output("apt-cache", "policy", *names)
    known = set(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (?!\(none\))", policy, re.MULTILINE))
    chosen = [next((name for name in names if name in known), "") for names in packages]
    unknown = [names[-1] for names, name in zip(packages, chosen, strict=True) if not name]
    return [name for name in dict.fromkeys(chosen) if name], unknown


def _output(*arguments: str) -> str:
    env = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=env)
    return done.stdout.decode(errors="replace")
