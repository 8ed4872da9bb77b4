"""A relay board that says nothing passes the conformance suite: the proof comes from the board that sees the gate."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

NOT_THERE = {"again", "late-approval"}
"""Cases that are not for exits."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("lot"), "usb-relay", "relay", observe=2.5)
    yield made
    made.close()


@pytest.mark.parametrize("case", sorted(CASES.keys() - NOT_THERE))
def test_conforms(stage, case):
    assert stage.run(case) == ()
