"""A pay station's card terminal passes the conformance suite: over TCP, and on a serial line at 9600 baud."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

HURRIED = {"answer_seconds": 0.5, "charge_seconds": 2.0}
"""As the machine: it gives up after one second and after two and a half here, not after five and 180."""


@pytest.fixture(scope="module", params=["listen://127.0.0.1:20007", "/dev/ttyUSB0"], ids=["tcp", "serial"])
def stage(request, tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("lot"), "zvt-station", timeout_seconds=1.0, url=request.param, options=HURRIED)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES))
def test_conforms(stage, case):
    assert stage.run(case) == ()
