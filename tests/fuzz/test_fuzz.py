"""A slice of the fuzzing, each target in a process of its own; `python -m tests.fuzz.run` does as much as one likes."""

import importlib.util
import os

import pytest

from tests.fuzz.run import TARGETS, fuzz
from tests.rigs.figures import count, size

SECONDS = size(1, int(os.environ.get("DAIKO_FUZZ_SECONDS", "300")))

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris exists for Linux only"),
    pytest.mark.timeout(size(120, 1800)),
]

FOUND = {
    "local_api": [
        b"GET /v1/timeline?lot=1&sta\xff\xffy=\x00bay:7\n\n",  # a query that is not UTF-8 was a 500
        b"GET /v1/timeline/?lot=2&st\xff&v\n\n",  # and so it was where a slash too many is answered by a redirect
    ],
}


@pytest.mark.parametrize("target", TARGETS)
def test_hostile_bytes_bring_documented_errors_only(target: str) -> None:
    result = fuzz(target, SECONDS)
    assert result.found == ""
    assert result.executions > size(10, 1_000)
    count(f"fuzz: executions of {target}", result.executions)


@pytest.mark.parametrize(("target", "data"), [(target, data) for target, found in FOUND.items() for data in found])
def test_what_was_found_once_stays_mended(target: str, data: bytes) -> None:
    from tests.fuzz import targets

    getattr(targets, target)(data)
