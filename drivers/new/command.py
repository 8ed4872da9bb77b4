"""Writes a family's skeleton into a checkout of Daiko, and registers it; what is there already is never overwritten."""

import argparse
import re
import secrets
from importlib import resources
from pathlib import Path
from typing import Final

from parking.errors import Code, Environment

FILES: Final = {
    "codec.py.txt": "drivers/{name}/codec.py",
    "driver.py.txt": "drivers/{name}/driver.py",
    "sim.py.txt": "drivers/{name}/sim.py",
    "README.md.txt": "drivers/{name}/README.md",
    "lot.toml.txt": "seeds/lots/{lot}.toml",
    "test_conformance.py.txt": "tests/drivers/{name}/test_conformance.py",
}
NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
IMPORTS: Final = re.compile(r"(?:^from drivers\.\S+ import \w.*\n)+", re.MULTILINE)
LOT: Final = (8000, 1000)
"""First number for lots of trial, and how many."""

_MODULE: Final = """\
def _{name}() -> Module:
    from drivers.{name} import driver

    return driver


"""
_FAMILY: Final = """\
        "{name}": Family(
            module=_{name},
            summary={{"ja": "{name}", "en": "{name}: say what it is"}},
            schemes=frozenset({{"", "socket"}}),
        ),
"""
REGISTER: Final = {
    "drivers/registry.py": (
        ("    schemes: frozenset[str]\n\n\n", _MODULE),
        ("FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(\n    {{\n", _FAMILY),
    ),
    "drivers/simlot/host.py": (
        ("from drivers.host_link import sim as host_link\n", "from drivers.{name} import sim as {name}\n"),
        (
            "SIMULATORS: Final[Mapping[str, Serve]] = MappingProxyType(\n    {{\n",
            '        "{name}": {name}.serve,\n',
        ),
    ),
    "pyproject.toml": (
        (
            'name = "driver families do not know each other"\ntype = "independence"\nmodules = [\n',
            '  "drivers.{name}",\n',
        ),
    ),
}
"""Where a family is made known: behind which text what is put. Braces are those of str.format."""


def new(arguments: argparse.Namespace) -> int:
    """Write a family's skeleton, and register it; nothing that is there is overwritten."""
    name, root = arguments.name, arguments.root
    if not NAME.fullmatch(name):
        raise Environment(Code.CONFIG, f"{name!r} is no name for a family", "write it like gate_box: small letters, _")
    if not (root / "drivers" / "registry.py").is_file():
        raise Environment(
            Code.CONFIG, f"{root} is no checkout of Daiko", "run it where drivers/registry.py is, or --root"
        )
    words = {"name": name, "lot": name.replace("_", "-")}
    files = {source: root / place.format(**words) for source, place in FILES.items()}
    there = [path for path in (root / "drivers" / name, *files.values()) if path.exists()]
    if there:
        raise Environment(Code.CONFLICT, f"{there[0]} is there already", "choose another name, or remove it first")
    edited = {root / place: _registered(root / place, edits, words) for place, edits in REGISTER.items()}
    for source, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(source, words), "utf-8")
        print(f"{path.relative_to(root)} written")
    (root / "drivers" / name / "__init__.py").write_text(f'"""The family {name}."""\n', "utf-8")
    for path, text in edited.items():
        path.write_text(text, "utf-8")
        print(f"{path.relative_to(root)}: {name} added")
    print(f"Now: python3 dev.py test tests/drivers/{name}   (it fails; docs/adding-a-driver.md tells what to write)")
    return 0


def _registered(path: Path, edits: tuple[tuple[str, str], ...], words: dict[str, str]) -> str:
    """The text of a file with the family in it. Raises Environment if the place for it is gone."""
    text = path.read_text("utf-8")
    for behind, put in edits:
        anchor = behind.format(**words)
        if text.count(anchor) != 1:
            raise Environment(Code.CONFIG, f"{path}: no place for a new family", f"add it by hand, behind {anchor!r}")
        text = text.replace(anchor, anchor + put.format(**words))
    return _in_order(text)


def _in_order(text: str) -> str:
    """With our imports sorted as the linter wants them: where the new name belongs depends on the name."""
    return IMPORTS.sub(
        lambda run: "".join(sorted(run[0].splitlines(keepends=True), key=lambda one: one.split()[1])), text
    )


def _filled(source: str, words: dict[str, str]) -> str:
    text = resources.files("drivers.new").joinpath("template", source).read_text("utf-8")
    filled = {
        "NAME": words["name"],
        "CLASS": "".join(part.capitalize() for part in words["name"].split("_")),
        "LOT": words["lot"],
        "NUMBER": str(LOT[0] + secrets.randbelow(LOT[1])),
        "CODE": "".join(secrets.choice(ALPHABET) for _ in range(7)),
    }
    return _in_order(re.sub(r"\b(NAME|CLASS|LOT|NUMBER|CODE)\b", lambda found: filled[found[0]], text))


def add_new(command: argparse.ArgumentParser) -> None:
    """The options of `new`."""
    command.add_argument("name", help="the family's name, like gate_box")
    command.add_argument("--root", type=Path, default=Path.cwd(), help="a checkout of Daiko (default: here)")
    command.set_defaults(run=new)
