"""A relay board that says nothing passes the conformance suite: it claims no more than that it was told."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

NOT_THERE = {"again", "late-approval", "cash-race"}
"""Cases that are not for exits, or not for those that see nothing."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("lot"), "usb-relay", "relay")
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES.keys() - NOT_THERE))
def test_conforms(stage, case):
    assert stage.run(case) == ()
