"""What the product must not do anywhere, read from its source; each exception is named here with its reason."""

import ast
import re
import ssl
from collections import Counter
from pathlib import Path

import pytest
import urllib3.util.ssl_

ROOT = Path(__file__).parents[1]
PACKAGES = ("parking", "drivers", "bridge", "cloud", "console")
MODULES = sorted(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}


def imports(tree: ast.AST) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def who_imports(*names: str) -> set[str]:
    return {
        path
        for path, tree in TREES.items()
        if any(one == name or one.startswith(f"{name}.") for one in imports(tree) for name in names)
    }


DANGEROUS_MODULES = (
    *("pickle", "marshal", "shelve", "dill", "yaml", "xml", "lxml", "telnetlib", "ftplib", "subprocess", "pty"),
    *("zipfile", "tarfile", "jinja2.sandbox", "cryptography.hazmat.primitives.ciphers.modes"),
)
RANDOM = {
    "bridge/uplink/pace.py": "when to try again: nobody gains by guessing it",
    "drivers/conform/bench.py": "when a bridge of the conformance suite dies",
    "drivers/conform/wire.py": "noise on a line of the conformance suite",
    "drivers/simlot/world.py": "cars of the simulation",
    "drivers/simlot/traffic.py": "cars of the simulation",
}
DANGEROUS_USES = {
    "drivers/conform/doomed.py": "this very program, to be killed",
    "drivers/conform/simulated.py": "this very program, as a simulated lot",
    "drivers/hidraw_node.py": "this very program, as a simulated device",
    "drivers/mdb_cashless/simprocess.py": "this very program, as a simulated adapter",
    "drivers/osdp/secure.py": "single blocks and CBC, as OSDP has them (annex D)",
}
DANGEROUS_CALLS = re.compile(
    r"(?<![.\w])(?:eval|exec|compile|__import__)\(|os\.(?:system|popen|exec)|shell=True"
    r"|\bmd5\b|\bsha1\b|verify ?= ?False|CERT_NONE|check_hostname ?= ?False|_create_unverified"
    r"|from_string\(|autoescape ?= ?False"
)


def test_the_product_uses_nothing_dangerous():
    assert who_imports(*DANGEROUS_MODULES) == DANGEROUS_USES.keys()
    assert who_imports("random") <= RANDOM.keys()
    assert who_imports("ctypes") == {"bridge/dpapi.py", "drivers/hidraw_node.py"}  # the latter simulates a device
    found = {
        f"{path}: {line.strip()}"
        for path in TREES
        for line in (ROOT / path).read_text(encoding="utf-8").splitlines()
        if DANGEROUS_CALLS.search(line)
    }
    assert found == set()


OVERLOOKED = {
    ("bridge/audit.py", "S608"): 3,  # a constant of column names, a number
    ("bridge/journal.py", "S608"): 2,  # question marks, as many as there are phases
    ("bridge/transaction.py", "S608"): 1,  # one of two table names of ours
    ("bridge/keys.py", "S105"): 1,  # a file's name
    ("bridge/local_api/door.py", "S105"): 1,  # a sentence
    ("bridge/lot_page/passing.py", "S105"): 1,  # a pattern
    ("cloud/pages.py", "S704"): 1,  # segno's own picture of digits
    ("drivers/conform/bench.py", "S311"): 1,  # when a bridge dies
    ("drivers/conform/simulated.py", "S603"): 1,  # this very program
    ("drivers/conform/wire.py", "S311"): 1,  # noise
    ("drivers/hidraw_node.py", "S603"): 1,  # this very program
    ("drivers/mdb_cashless/simprocess.py", "S603"): 1,  # this very program
    ("drivers/osdp/secure.py", "S305"): 1,  # single blocks, as OSDP has them
    ("drivers/simlot/world.py", "S311"): 1,  # cars of the simulation
}


def test_no_exception_from_the_security_rules_is_new():
    """Ruff's S rules run over the product; what they are told to overlook is counted."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^select = \[[^\]]*"S"', project, re.MULTILINE)
    for package in PACKAGES:
        assert not re.search(rf'"{package}/[^"]*" = \[[^\]]*"S[0-9"]', project)
    overlooked = [
        (path, code)
        for path in TREES
        for code in re.findall(r"# noqa: (S\d+)", (ROOT / path).read_text(encoding="utf-8"))
    ]
    assert Counter(overlooked) == Counter(OVERLOOKED)


CALLERS = {
    "bridge/lot_page/cloud_way.py": "the cloud of bridge.toml, for phones",
    "bridge/uplink/cloud_line.py": "the cloud of bridge.toml",
    "bridge/uplink/signatures.py": "signs such requests, sends none",
    "cloud/payments/sandbox.py": "the provider of cloud.toml",
    "cloud/sandbox/post.py": "the sandbox, towards its shop",
    "console/client.py": "the bridge on this computer",
    "drivers/conform/simulated.py": "the control port of the lot that it simulates",
    "drivers/host_link/http.py": "the first management server of the lot's profile",
}


def test_only_these_modules_call_out():
    """Machines of the lot are reached through drivers/transport.py besides (import contract `one-door`)."""
    assert who_imports("requests", "httpx", "urllib.request", "http.client", "aiohttp") == CALLERS.keys()


LOG_WRITERS = {
    *("bridge/logs.py", "cloud/logs.py", "console/assembly.py"),
    "drivers/conform/command.py",  # writes none: what goes wrong on its lines is what it wants
}


def test_only_these_modules_write_logs():
    writers = {
        path
        for path in TREES
        if re.search(r"basicConfig|StreamHandler|FileHandler|addHandler", (ROOT / path).read_text(encoding="utf-8"))
    }
    assert writers == LOG_WRITERS


@pytest.mark.parametrize("make", [ssl.create_default_context, urllib3.util.ssl_.create_urllib3_context])
def test_nothing_older_than_tls_1_2_is_spoken(make):
    """What requests, httpx and urllib3 begin with; nothing of ours lowers it."""
    assert make().minimum_version >= ssl.TLSVersion.TLSv1_2
    lowered = {path for path in TREES if "minimum_version" in (ROOT / path).read_text(encoding="utf-8")}
    assert lowered == set()


def test_our_scripts_make_no_markup_from_text():
    for script in sorted((ROOT / "cloud" / "static").glob("*.js")):
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text)
        assert not re.search(r"__proto__|\w\[[a-z]\w*\] = ", text), "a computed property could be anybody's"
        assert not re.search(r"https?://", text)
