"""The first management server over HTTP passes the conformance suite."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

NOT_THERE = {"late-approval"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("lot"), "gated-host", "host", timeout_seconds=1.5)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES.keys() - NOT_THERE))
def test_conforms(stage, case):
    assert stage.run(case) == ()
