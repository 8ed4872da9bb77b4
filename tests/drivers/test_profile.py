"""The lot profile: seeds are right, and each mistake is told with file, place and remedy."""

from pathlib import Path

import pytest

from drivers import profile
from drivers.simlot.world import sim_table
from parking.errors import Code, Environment
from parking.stay import NameKind

ROOT = Path(__file__).parents[2]
SEEDS = sorted((ROOT / "seeds" / "lots").glob("*.toml"))
GATED = (ROOT / "seeds" / "lots" / "gated-host.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_a_seed_lot_reads_without_a_complaint(path: Path) -> None:
    lot = profile.load(path)
    assert lot.exit or lot.lot.names is NameKind.DESK
    sim_table(lot)
    if lot.fee.tariff:
        assert (path.parent / lot.fee.tariff).is_file()


MISTAKES = [
    ("id = 1002", "id = 0", "$.lot.id"),
    ("id = 1002", 'id = "1002"', "$.lot.id"),
    ('code = "MNAM12K"', 'code = "minami"', "$.lot.code"),
    ('names = "ticket"', 'names = "colour"', "$.lot.names"),
    ("latitude = 35.6971", "latitude = 135.0", "$.lot.position.latitude"),
    ("day_starts = 4", "day_starts = 24", "$.lot.day_starts"),
    ("day_starts = 4", "day_start = 4", "day_start"),
    ('by = "legacy"', 'by = "somebody"', "$.fee.by"),
    ('by = "legacy"', 'by = "cloud"', "$.fee.tariff"),
    ('by = "legacy"\n', 'by = "shadow"\n', "$.fee.tariff"),
    ("lease_seconds = 180", "lease_seconds = 5", "$.fee.lease_seconds"),
    ('stays = "host"', 'stays = "hsot"', "$.roles.stays"),
    ('settle = "host"', 'settle = "till"', "$.roles.settle"),
    ('witness = "host"', 'witness = "eye"', "$.roles.witness"),
    ('books = "host"', 'books = "ledger"', "$.roles.books"),
    ('fee = "host"\n', "", "$.roles.fee"),
    ('done_when = "physically_observed"', 'done_when = "hoped"', "$.roles.done_when"),
    ("give_up = 20.0", "give_up = 0", "$.times.give_up"),
    ('id = "gate"', 'id = "host"', "$.device[1].id"),
    ('id = "gate"', 'id = "Gate 1"', "$.device[1].id"),
    ('url = "http://127.0.0.1:7101"', 'url = ""', "$.device[0].url"),
    ("timeout_seconds = 2.0", "timeout_seconds = 0", "$.device[0].timeout_seconds"),
    ('device = "gate"', 'device = "door"', "$.exit[0].device"),
    ('kind = "gate"', 'kind = "door"', "$.exit[0].kind"),
    ("channel = 0", "channel = -1", "$.exit[0].channel"),
    ("channel = 0", 'channel = 0\nbay = "A-07"', "$.exit[0].bay"),
    ("channel = 0", 'channel = 0\nbay = "!!"', "$.exit[0].bay"),
    ("channel = 0", "channel = 0\ncolour = 1", "colour"),
    ("channel = 0", 'channel = 0\nseen_by = { device = "eye", channel = 0 }', "$.exit[0].seen_by.device"),
    ("channel = 0", 'channel = 0\nseen_by = { device = "gate", channel = 1 }', "$.exit[0].seen_by.device"),
    ("channel = 0", 'channel = 0\nseen_by = { device = "host" }', "$.exit[0].seen_by"),
    ("[lot]", "[lot", "line 3"),
]


@pytest.mark.parametrize(("right", "wrong", "place"), MISTAKES, ids=[f"{at}-{m[2]}" for at, m in enumerate(MISTAKES)])
def test_a_mistake_is_told_with_file_place_and_remedy(tmp_path: Path, right: str, wrong: str, place: str) -> None:
    path = tmp_path / "lot.toml"
    assert right in GATED
    path.write_text(GATED.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(Environment) as mistake:
        profile.load(path)
    assert mistake.value.code is Code.CONFIG
    assert str(path) in mistake.value.detail
    assert place in mistake.value.detail
    assert mistake.value.remedy


def test_an_exit_or_a_bay_that_is_there_twice_is_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "lot.toml"
    path.write_text(GATED + GATED[GATED.index("[[exit]]") : GATED.index("[sim]")], encoding="utf-8")
    with pytest.raises(Environment, match=r"'OUT1' twice - at `\$\.exit\[1\]\.id`"):
        profile.load(path)


def test_two_plates_cannot_hold_one_bay(tmp_path: Path) -> None:
    path = tmp_path / "lot.toml"
    plates = next(seed for seed in SEEDS if seed.stem == "bay-plates").read_text(encoding="utf-8")
    path.write_text(plates.replace('bay = "9"', 'bay = "6"'), encoding="utf-8")
    with pytest.raises(Environment, match=r"'6' twice - at `\$\.exit\[8\]\.bay`"):
        profile.load(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "lot.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Environment) as mistake:
        profile.load(path)
    assert str(path) in mistake.value.detail


def test_addresses_from_outside_replace_those_of_the_file() -> None:
    path = ROOT / "seeds" / "lots" / "gated-host.toml"
    lot = profile.load(path, {"host": "http://127.0.0.1:1"})
    assert [device.url for device in lot.device] == ["http://127.0.0.1:1", "socket://127.0.0.1:7502"]
    with pytest.raises(Environment, match=r"no such device - at `urls\.till`"):
        profile.load(path, {"till": "http://127.0.0.1:1"})


def test_every_key_of_the_profile_is_documented() -> None:
    from drivers.simlot.books import SimTable

    text = (ROOT / "docs" / "lot-profile.md").read_text(encoding="utf-8")
    tables = (profile.LotTable, profile.LotPosition, profile.FeeTable, profile.Roles, profile.DeviceTable)
    for table in (*tables, profile.ExitTable, profile.Times, SimTable):
        for key in table.__struct_fields__:
            assert f"`{key}`" in text, f"{table.__name__}.{key}"
