"""A pay station's coin acceptor passes the conformance suite."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

PATIENT = {"patience": 1.5}
"""For a busy computer: these hosts never give up."""


OTHER = {"simple_polls": "true", "master_only": "true", "serial": 4711}
"""A station that asks header 254 after each poll, and lets money in by header 228 alone."""


@pytest.fixture(scope="module", params=[{}, OTHER], ids=["usual", "other"])
def stage(tmp_path_factory, request):
    options = PATIENT | request.param
    made = Stage(tmp_path_factory.mktemp("lot"), "coin-station", timeout_seconds=1.0, observe=6.0, options=options)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES))
def test_conforms(stage, case):
    assert stage.run(case) == ()
