"""A pay station's coin acceptor passes the conformance suite."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

PATIENT = {"patience": 1.5}
"""For a busy computer: these hosts never give up."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("lot"), "coin-station", timeout_seconds=1.0, observe=6.0, options=PATIENT)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES))
def test_conforms(stage, case):
    assert stage.run(case) == ()
