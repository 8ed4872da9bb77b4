"""Daiko from a bare clone: sets up what is missing, then demonstrates, tests, checks or measures.

    python3 dev.py demo [--headless]      (on Windows: py dev.py demo)
    python3 dev.py test [pytest arguments]

Needs Python 3.11 or newer and nothing else; this file uses the standard library only. What it fetches stays in `.venv`
and `.tools` of this folder; packages of the operating system come from apt, and only with root or password-free sudo
(DAIKO_NO_APT=1 forbids even that). The log of the last set-up is `.tools/setup.log`.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python may read this file, and must be told in plain words
    sys.exit(
        "Daiko needs Python 3.11 or newer; this is Python %d.%d (%s).\n"  # noqa: UP031 - see above
        "Install a newer one and name it, for example:  python3.11 dev.py %s"
        % (sys.version_info[0], sys.version_info[1], sys.executable, " ".join(sys.argv[1:]) or "demo")
    )

import argparse
import contextlib
import hashlib
import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from requirements.system import VERSION, apt_rights, choose, has_display, missing_for

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
LOCKS = ROOT / "requirements"
WINDOWS = sys.platform == "win32"
SCRIPTS = VENV / ("Scripts" if WINDOWS else "bin")
PYTHON = SCRIPTS / ("python.exe" if WINDOWS else "python")
SAY_EVERY = 15.0  # seconds between two signs of life of a long step
PIP_INSTALL = ("-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:")
APT = ("apt-get", "-o", "DPkg::Lock::Timeout=120", "-y")


class SetUpFailedError(Exception):
    """A step of the set-up failed; the text says which, and what to do."""


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    print(f"[daiko] {text}", flush=True)


# --- the operating system ------------------------------------------------------------------------------------------


def install_system_packages(purpose: str) -> None:
    """Install what is missing with one apt-get line, or print the line and go on."""
    missing = missing_for(purpose, environment=PYTHON.exists())
    if not missing:
        return
    for why in dict.fromkeys(need.why for need in missing):
        say(f"missing for {why}: {', '.join(need.what for need in missing if need.why == why)}")
    rights = apt_rights()
    if rights is not None:
        apt_install(rights, [names for need in missing for names in need.packages])
        importlib.invalidate_caches()
        missing = missing_for(purpose, environment=PYTHON.exists())
    if missing:
        say(f"going on without {', '.join(need.what for need in missing)}; to install it:")
        known, unknown = choose([names for need in missing for names in need.packages])
        apt = "sudo apt-get update && sudo apt-get install -y --no-install-recommends"
        other = "with your package manager, under whatever name it has there:"
        say(f"    {apt if shutil.which('apt-get') else other} {' '.join([*known, *unknown])}")


def apt_install(rights: Sequence[str], packages: Sequence[tuple[str, ...]]) -> None:
    """Install all packages that apt knows; if it knows not all, or fails, once more after `apt-get update`."""
    for updated in (False, True):
        if updated:
            run("updating apt's package lists", [*rights, *APT, "update"])
        chosen, unknown = choose(packages)
        install = [*rights, *APT, "install", "--no-install-recommends", *chosen]
        if chosen and (updated or not unknown) and run(f"installing with apt: {' '.join(chosen)}", install):
            return


# --- the environment -------------------------------------------------------------------------------------------------


def make_venv() -> None:
    """Make `.venv` for this Python, unless it is there; raises SetUpFailedError with what to do."""
    settings = VENV / "pyvenv.cfg"
    text = settings.read_text("utf-8") if settings.exists() else ""
    made_for = re.search(r"^version\S* *= *(\d+\.\d+)", text, re.MULTILINE)
    if PYTHON.exists() and made_for and made_for[1] == VERSION:
        return
    venv = [sys.executable, "-m", "venv", "--clear", str(VENV)]
    if importlib.util.find_spec("ensurepip") and run(f"making .venv for Python {VERSION}", venv):
        return
    if importlib.util.find_spec("pip") and make_venv_with_virtualenv():
        return
    raise SetUpFailedError(
        f"{sys.executable} cannot make a virtual environment (no ensurepip, no pip).\n"
        f"On Debian and Ubuntu: sudo apt-get install python{VERSION}-venv\n"
        "Elsewhere: install Python 3.11 or newer with its venv module. Then run the same command again."
    )


def make_venv_with_virtualenv() -> bool:
    """Where Python's own venv lacks ensurepip: the hash-locked virtualenv package, kept in `.tools`."""
    folder = TOOLS / "virtualenv"
    into = ["--upgrade", "--target", str(folder), "--require-hashes", "-r", str(LOCKS / "virtualenv.txt")]
    if not run("fetching virtualenv into .tools", [sys.executable, *PIP_INSTALL, *into]):
        return False
    environment = {"PYTHONPATH": str(folder), "VIRTUALENV_OVERRIDE_APP_DATA": str(TOOLS / "virtualenv-data")}
    make = [sys.executable, "-m", "virtualenv", "--clear", "--no-periodic-update", str(VENV)]
    return run("making .venv with virtualenv", make, environment)


def install_packages() -> None:
    """Install the hash-locked packages into `.venv` if the lock or Python changed since the last time."""
    lock = LOCKS / ("windows.txt" if WINDOWS else "linux.txt")
    stamp = VENV / "daiko-stamp"
    state = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    if stamp.exists() and stamp.read_text("utf-8") == state:
        return
    count = lock.read_text("utf-8").count("==")
    pip = [str(PYTHON), *PIP_INSTALL, "--require-hashes", "-r", str(lock)]
    if not run(f"installing {count} Python packages into .venv", pip):
        raise SetUpFailedError(
            f"pip could not install {lock.relative_to(ROOT)}.\n"
            "Is the network there? Behind a proxy set HTTPS_PROXY; with a mirror of your own set PIP_INDEX_URL.\n"
            "If a hash differs, the mirror serves altered files: do not go on."
        )
    stamp.write_text(state, "utf-8")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Hold off a second set-up of the same clone until this one is done; the system ends the hold if we die."""
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "lock").open("a+") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # waits for 10 s, then raises OSError
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def set_up(purpose: str) -> None:
    """Bring everything that `purpose` wants; quick if it is there."""
    started = time.monotonic()
    with one_at_a_time():
        (TOOLS / "setup.log").write_text("", "utf-8")
        install_system_packages(purpose)
        make_venv()
        install_packages()
    if time.monotonic() - started > 2:
        say(f"set-up ready after {time.monotonic() - started:.1f} s")


def run(what: str, arguments: Sequence[str], environment: dict[str, str] | None = None) -> bool:
    """Run one step of the set-up, its output in the log; on failure show the end of the log."""
    say(f"{what} …")
    started = time.monotonic()
    log = TOOLS / "setup.log"
    with log.open("a", encoding="utf-8") as out:
        out.write(f"$ {shlex.join(arguments)}\n")
        out.flush()
        env = os.environ | (environment or {})
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=ROOT)
        while process.poll() is None:
            try:
                process.wait(SAY_EVERY)
            except subprocess.TimeoutExpired:
                say(f"    … still at it ({time.monotonic() - started:.0f} s)")
    took = time.monotonic() - started
    if process.returncode == 0:
        say(f"    done in {took:.1f} s")
        return True
    say(f"    FAILED after {took:.1f} s (exit code {process.returncode}). The end of .tools/setup.log:")
    print("\n".join(log.read_text("utf-8", "replace").splitlines()[-12:]), flush=True)
    return False


def _run_quietly(arguments: Sequence[str], env: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, env=env, cwd=ROOT)
    return done.returncode, done.stdout.decode(errors="replace")


# --- the subcommands -------------------------------------------------------------------------------------------------


def program_environment() -> dict[str, str]:
    """The environment of everything that runs in `.venv`: its programs first, UTF-8, no window where none can be."""
    env = os.environ | {"PYTHONUTF8": "1", "PATH": f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # dozens of programs start here, and each would compile all it imports
    if not has_display():
        env.setdefault("QT_QPA_PLATFORM", "offscreen")
    return env


def become(*arguments: str) -> NoReturn:
    """Go on as a Python program of `.venv`, so that signals reach it."""
    os.chdir(ROOT)
    if WINDOWS:
        sys.exit(subprocess.call([str(PYTHON), *arguments], env=program_environment()))
    os.execve(PYTHON, [str(PYTHON), *arguments], program_environment())


def demo(arguments: list[str]) -> NoReturn:
    """Show both lots at work; --headless plays the driver with a browser of its own."""
    become("-m", "demo", *arguments)


def test(arguments: list[str]) -> NoReturn:
    """Run pytest; without arguments all tests, the slow ones too, on all cores."""
    workers = str(min(8, 5 * (os.cpu_count() or 1) // 2))  # most tests wait for programs, more than they compute
    together = ["-q", "-n", workers, "--dist", "loadfile", "--no-loadscope-reorder"]
    become("-m", "pytest", *(arguments or together))


def faults(arguments: list[str]) -> NoReturn:
    """Run all fault rigs at full size, one to two hours, and print what they tried; --help says more."""
    become("-m", "tests.rigs.faults", *arguments)


def bench(arguments: list[str]) -> int:
    """Run one measurement, or all of them in turn."""
    known = sorted(file.stem for file in (ROOT / "bench").glob("[!_]*.py"))
    if arguments and arguments[0] not in known:
        say(f"no measurement {arguments[0]!r}; there are: {', '.join(known)}")
        return 2
    runs = [[str(PYTHON), "-m", f"bench.{name}", *arguments[1:]] for name in arguments[:1] or known]
    return max((subprocess.call(each, env=program_environment(), cwd=ROOT) for each in runs), default=0)


def simulate(arguments: list[str]) -> NoReturn:
    """Drive the decisions through worlds full of faults (--seeds N), or every interleaving of one (--explore)."""
    become("-m", "bridge", "simulate", *arguments)


def check(arguments: list[str]) -> int:
    """Format, lint, types, import contracts and the quick tests; --fast leaves the tests out."""
    python = str(PYTHON)
    steps = {
        "format": [python, "-m", "ruff", "format", "--check", "."],
        "lint": [python, "-m", "ruff", "check", "."],
        "types": [python, "-m", "mypy"],
        "contracts": [shutil.which("lint-imports", path=SCRIPTS) or "lint-imports", "--no-cache"],
        "tests": [python, "-m", "pytest", "-q", "-m", "not slow"],
    }
    failed = []
    for name, step in steps.items():
        if name == "tests" and "--fast" in arguments:
            continue
        started = time.monotonic()
        code, output = _run_quietly(step, program_environment())
        took = time.monotonic() - started
        if code:
            failed.append(name)
            print(output, end="", flush=True)
        say(f"{'FAILED' if code else 'ok':6} {name:9} {took:6.1f} s  {output.strip().rpartition(chr(10))[2].strip()}")
    say(f"FAILED: {', '.join(failed)}" if failed else "all checks passed")
    return 1 if failed else 0


def lock(arguments: list[str]) -> NoReturn:
    """Resolve pyproject.toml anew into requirements/*.txt; --upgrade takes the newest versions."""
    become(str(LOCKS / "lock.py"), *arguments)


def setup(_arguments: list[str]) -> int:
    """Only set up."""
    return 0


COMMANDS = {
    "setup": setup,
    "demo": demo,
    "test": test,
    "simulate": simulate,
    "check": check,
    "faults": faults,
    "bench": bench,
    "lock": lock,
}


def main() -> int:
    """Set up for one subcommand and run it; the exit code is its own."""
    parser = argparse.ArgumentParser("dev.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    lines = [f"{name:9} {(function.__doc__ or '').splitlines()[0]}" for name, function in COMMANDS.items()]
    parser.add_argument("command", choices=COMMANDS, metavar="command", help="\n".join(lines))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="handed on to the command")
    chosen = parser.parse_args()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console of an old code page shows "?" rather than a traceback
    try:
        set_up(chosen.command)
        return COMMANDS[chosen.command](chosen.arguments)
    except SetUpFailedError as error:
        say(f"cannot go on: {error}")
    except KeyboardInterrupt:
        say("stopped by you; the same command goes on from here")
    return 1


if __name__ == "__main__":
    sys.exit(main())
