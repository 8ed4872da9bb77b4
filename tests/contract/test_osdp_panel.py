"""An access panel that opens for a card passes the conformance suite; we are its reader."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

NOT_THERE = {"again", "late-approval", "cash-race"}
"""Cases that are not for exits, or not for those that nobody sees."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("lot"), "osdp-panel", "panel")
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES.keys() - NOT_THERE))
def test_conforms(stage, case):
    assert stage.run(case) == ()
