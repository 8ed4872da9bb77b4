"""Lock plates on a serial line, and a gate on TCP, pass the conformance suite."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

NOT_THERE = {"again", "late-approval"}
"""Cases that are not for exits."""


@pytest.fixture(scope="module", params=["bay-plates", "gated-plates"])
def stage(request, tmp_path_factory):
    device = {"bay-plates": "plates", "gated-plates": "gate"}[request.param]
    made = Stage(tmp_path_factory.mktemp("lot"), request.param, device, timeout_seconds=1.0, observe=3.0)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES.keys() - NOT_THERE))
def test_conforms(stage, case):
    assert stage.run(case) == ()
