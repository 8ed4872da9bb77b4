"""The shape of the code: sizes, names and traps that no linter knows."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.rigs.faults import RIGS

ROOT = Path(__file__).parents[1]
PACKAGES = ("parking", "drivers", "bridge", "cloud", "console", "simulation")
PROGRAMS = (*PACKAGES, "demo", "bench")
MODULES = sorted(
    [*(file for name in (*PROGRAMS, "requirements") for file in (ROOT / name).rglob("*.py")), ROOT / "dev.py"]
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """The path as a reader of the repository writes it."""
    return path.relative_to(ROOT).as_posix()


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def tracked_files() -> list[Path]:
    """What is in git, as far as it is still there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_module_is_over_400_lines() -> None:
    assert {name_of(path): lines_of(path) for path in MODULES if lines_of(path) > 400} == {}


def test_half_of_the_modules_have_at_most_160_lines() -> None:
    assert statistics.median(lines_of(path) for path in MODULES if path.name != "__init__.py") <= 160


FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)


def own_lines(function: ast.stmt) -> int:
    """The lines of a function without those of the functions directly inside it."""
    inner = [node for node in ast.iter_child_nodes(function) if isinstance(node, FUNCTION)]
    first_to_last = (node.lineno - (node.end_lineno or node.lineno) - 1 for node in inner)
    return (function.end_lineno or function.lineno) - function.lineno + 1 + sum(first_to_last)


def test_a_function_fits_a_screen() -> None:
    """A migration may be as long as the schema; a function inside another counts for itself."""
    long = {
        f"{name_of(path)}:{node.lineno} {node.name}": own_lines(node)
        for path in MODULES
        if "migrations" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, FUNCTION) and own_lines(node) > 60
    }
    assert long == {}


def test_classes_are_named_after_things_of_the_field() -> None:
    """Only a subclass of a library's `…Handler` may carry the library's word on."""
    vague = re.compile(r"(Manager|Helper|Utils?|Handler)$")
    named = {
        f"{name_of(path)}: {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
        and vague.search(node.name)
        and not any(vague.search(ast.unparse(base)) for base in node.bases)
    }
    assert named == set()
    assert {name_of(path) for path in MODULES if vague.search(path.stem.title())} == set()


def test_folders_that_are_no_packages_have_no_init() -> None:
    """In tests/ it would shadow the packages; in packaging/ the library of that name."""
    assert [name_of(path) for folder in ("tests", "packaging") for path in (ROOT / folder).rglob("__init__.py")] == []


def test_the_shared_kernel_stays_small_and_plain() -> None:
    modules = [path for path in (ROOT / "parking").glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 10
    allowed = {*sys.stdlib_module_names, "parking", "msgspec", "cryptography"}
    imported = {
        name.split(".")[0]
        for path in modules
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= allowed


def test_nothing_happens_on_import() -> None:
    """A module's top level defines; it opens, starts and reads nothing."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign)
    allowed += (ast.AnnAssign, ast.If, ast.Expr)
    odd = {
        f"{name_of(path)}:{node.lineno}"
        for path in MODULES
        if path.parts[-2] in PACKAGES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if not isinstance(node, allowed) or (isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant))
    }
    assert odd == set()


# Registries and folders of the machines that this was written on; cut in two so that this file does not name them.
FOREIGN = [
    *(name + host for name in ("pypi", "test.pypi") for host in (".org",)),
    "files.python" + "hosted.org",
    "registry.npm" + "js.org",
    "proxy.go" + "lang.org",
    "crates" + ".io",
    "deb.deb" + "ian.org",
    "/wo" + "rk/",
    "/op" + "t/pypi",
    "/op" + "t/wheels",
    "/tm" + "p/w/",
    "/ro" + "ot/",
]


def test_no_file_names_a_registry_or_somebodys_machine() -> None:
    found = {
        f"{name_of(path)}: {foreign}"
        for path in tracked_files()
        if path.suffix not in {".png", ".ico", ".woff2"}
        for foreign in FOREIGN
        if foreign in path.read_text(encoding="utf-8")
    }
    assert found == set()


LOCKS = ["linux.txt", "windows.txt", "virtualenv.txt", "uv.txt"]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_holds_pinned_hashed_packages_and_nothing_else(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    pin = r"[a-z0-9._-]+==[^\s;\\]+(?: ; [^\\\n]+)?(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    body = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    assert body
    assert re.sub(pin, "", body) == ""


def wanted() -> list[Requirement]:
    """All that pyproject.toml asks for: the product, its extras and the dev group."""
    project = PROJECT["project"]
    extras = [text for texts in project["optional-dependencies"].values() for text in texts]
    return [Requirement(text) for text in (*project["dependencies"], *extras, *PROJECT["dependency-groups"]["dev"])]


@pytest.mark.parametrize("name", LOCKS[:2])
def test_a_lock_file_holds_what_the_project_asks_for(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    locked = {
        canonicalize_name(name): version for name, version in re.findall(r"^(\S+)==([^\s;]+)", text, re.MULTILINE)
    }
    missing = [
        str(each)
        for each in wanted()
        if each.marker is None or each.marker.evaluate({"sys_platform": "win32" if "windows" in name else "linux"})
        if not each.specifier.contains(locked.get(canonicalize_name(each.name), "0"), prereleases=True)
        or canonicalize_name(each.name) not in locked
    ]
    assert missing == [], "run: python3 dev.py lock"


def test_every_package_is_shipped_and_under_contract() -> None:
    shipped = {pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert shipped == set(PACKAGES) == set(PROJECT["tool"]["importlinter"]["root_packages"])
    assert all((ROOT / name / "__init__.py").is_file() for name in PACKAGES)


def test_the_distribution_cannot_be_uploaded_by_mistake() -> None:
    """Its packages carry everyday names: installed beside strangers' they would merge (docs/decisions/0001)."""
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


def test_ci_calls_the_commands_of_the_readme() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111 or sys.platform == "win32"
    for line in ("python3 dev.py check --fast", "python3 dev.py demo --headless", "python3 dev.py test"):
        assert f"\n{line}\n" in ci


def test_every_fault_rig_is_run_at_full_size_by_the_one_command_and_stands_in_the_document() -> None:
    rigs = {path for path, _ in RIGS.values()}
    slices = {
        name_of(file)
        for folder in ("faults", "fuzz", "mutants", "e2e", "drivers/*")
        for file in (ROOT / "tests").glob(f"{folder}/*.py")
    }
    sized = {name for name in slices if "tests.rigs.figures" in (ROOT / name).read_text(encoding="utf-8")}
    assert sized == rigs
    document = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    assert [name for name in RIGS if f"`python3 dev.py faults {name}`" not in document] == []
