"""A pay station's bill validator passes the conformance suite."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("lot"), "bill-station", timeout_seconds=1.0, observe=8.0, patience=1.5)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES))
def test_conforms(stage, case):
    assert stage.run(case) == ()
