"""The first management server passes the conformance suite: over HTTP, by its tables, by a shared folder."""

import pytest

from drivers.conform.cases import CASES
from tests.rigs.conformance import Stage

NOT_THERE = {"late-approval"}
LINELESS = {"identify", "normal", "again", "peer-restart", "killed", "cash-race"}
"""Cases that need no line that could be disturbed."""


def staged(name):
    @pytest.fixture(scope="module")
    def stage(tmp_path_factory):
        made = Stage(tmp_path_factory.mktemp("lot"), name, "host", timeout_seconds=1.5)
        yield made
        made.close()

    return stage


web, tables, folder = staged("gated-host"), staged("gated-sql"), staged("gated-files")


@pytest.mark.parametrize("case", sorted(CASES.keys() - NOT_THERE))
def test_conforms_over_http(web, case):
    assert web.run(case) == ()


@pytest.mark.parametrize("case", sorted(LINELESS))
def test_conforms_by_tables(tables, case):
    assert tables.run(case) == ()


@pytest.mark.parametrize("case", sorted(LINELESS))
def test_conforms_by_a_folder(folder, case):
    assert folder.run(case) == ()
