"""Resolves pyproject.toml anew and writes the hash-locked files beside this one: `python3 dev.py lock`.

linux.txt and windows.txt hold everything (product, extras, dev group); virtualenv.txt is for a Python without ensurepip
(dev.py), uv.txt locks the resolver itself. No file names a registry: the reader's own pip settings say where to fetch.
"""

import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
HEAD = "# Made by `python3 dev.py lock` from pyproject.toml; edit that instead.\n"
EVERYTHING = ("pyproject.toml", "--all-extras", "--group", "dev")
TARGETS = {
    "linux": (*EVERYTHING, "--python-platform", "x86_64-manylinux_2_34"),  # the glibc of PySide6-Essentials' wheels
    "windows": (*EVERYTHING, "--python-platform", "windows"),
    "virtualenv": ("--group", "virtualenv", "--universal"),
    "uv": ("--group", "uv", "--universal"),
}
COMPILE = ("pip", "compile", "--generate-hashes", "--no-header", "--no-annotate")
OPTIONS = ("--no-emit-index-url", "--no-config", "--python-version", "3.11", "--quiet")


def resolver() -> str:
    """The path of uv: the one on the path, or the locked one, fetched into `.tools`."""
    found = shutil.which("uv")
    if found:
        return found
    folder = ROOT / ".tools" / "uv"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--only-binary", ":all:", "--require-hashes"]
    subprocess.run([*pip, "--target", str(folder), "-r", str(HERE / "uv.txt")], check=True)
    return str(folder / "bin" / ("uv.exe" if sys.platform == "win32" else "uv"))


def main() -> int:
    """Write all lock files; without --upgrade, versions stay where pyproject.toml allows it."""
    uv = resolver()
    for name, options in TARGETS.items():
        file = HERE / f"{name}.txt"
        command = [uv, *COMPILE, *OPTIONS, *options, *sys.argv[1:], "--output-file", str(file)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            print(f"{file.name}: uv could not resolve it; the file is as it was")
            return done.returncode
        text = file.read_text("utf-8")
        file.write_text(HEAD + text.removeprefix(HEAD), "utf-8")
        print(f"{file.relative_to(ROOT)}: {sum('==' in line for line in text.splitlines())} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
