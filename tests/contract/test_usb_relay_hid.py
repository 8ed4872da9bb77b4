"""Relay boards on HID pass the conformance suite, by their feature reports and by frames in output and input reports.

They have no line into which the suite could splice itself: its mishaps of lines are tried in the family's own tests.
"""

import os

import pytest

from tests.rigs.conformance import Stage

CASES = ("identify", "normal", "peer-restart", "killed")
OPTIONS = {"dcttech": 'profile = "dcttech"\n', "lcus_hid": 'profile = "lcus_hid"\nanswers = true\n'}


@pytest.fixture(scope="module", params=OPTIONS)
def stage(request, tmp_path_factory):
    instead = {"relays = 2\n": f"relays = 2\n{OPTIONS[request.param]}"}
    try:
        made = Stage(tmp_path_factory.mktemp("lot"), "usb-relay", "relay", instead=instead)
    except Exception as error:
        if "device node" not in str(error):
            raise
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES)
def test_conforms(stage, case):
    assert stage.run(case) == ()
