"""What went over the wire can be read back, byte for byte and in order; secrets cannot."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.recorder import Direction, Mask, Recorder, read_back
from parking.errors import BadMessage, Code, Environment

NOON = datetime(2025, 4, 1, 3, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "wire.jsonl"


def test_chunks_come_back_in_order_with_time_and_direction(path):
    recorder = Recorder(path, lambda: NOON)
    recorder.note(Direction.TX, b"\x01\x05")
    recorder.note(Direction.RX, b"\xff\x00")
    recorder.close()
    chunks = list(read_back(path))
    assert [(chunk.direction, chunk.data, chunk.at) for chunk in chunks] == [
        (Direction.TX, b"\x01\x05", NOON),
        (Direction.RX, b"\xff\x00", NOON),
    ]
    assert 0 <= chunks[0].seconds <= chunks[1].seconds


def test_a_chunk_is_in_the_file_at_once(path):
    recorder = Recorder(path, lambda: NOON)
    recorder.note(Direction.TX, b"now")
    assert [chunk.data for chunk in read_back(path)] == [b"now"]
    recorder.close()


def test_a_recording_goes_on_in_the_same_file(path):
    for data in (b"one", b"two"):
        recorder = Recorder(path, lambda: NOON)
        recorder.note(Direction.RX, data)
        recorder.close()
        recorder.close()
    assert [chunk.data for chunk in read_back(path)] == [b"one", b"two"]


def test_nothing_is_written_after_the_end(path):
    recorder = Recorder(path, lambda: NOON)
    recorder.close()
    recorder.note(Direction.TX, b"late")
    assert list(read_back(path)) == []


@given(st.binary(max_size=30), st.binary(max_size=30), st.lists(st.integers(1, 5), max_size=20))
def test_a_secret_is_blacked_out_however_it_is_cut(before, after, cuts):
    secret = b"PIN=4711"
    stream, mask, written, at = before + secret + after, Mask([secret]), b"", 0
    for size in cuts:
        written += mask(stream[at : at + size])
        at += size
    written += mask(stream[at:]) + mask.rest()
    assert secret not in written
    assert len(written) == len(stream)
    assert written == stream.replace(secret, b"*" * len(secret))


def test_secrets_of_both_directions_are_kept_out_of_the_file(path):
    recorder = Recorder(path, lambda: NOON, secrets=[b"s3cret"])
    for direction in Direction:
        for byte in b"key s3cret!s3":
            recorder.note(direction, bytes((byte,)))
    recorder.close()
    for direction in Direction:
        assert b"".join(chunk.data for chunk in read_back(path) if chunk.direction is direction) == b"key ******!s3"


def test_a_last_line_cut_by_a_power_failure_is_left_out(path):
    recorder = Recorder(path, lambda: NOON)
    recorder.note(Direction.TX, b"whole")
    recorder.note(Direction.TX, b"cut")
    recorder.close()
    path.write_bytes(path.read_bytes()[:-9])
    assert [chunk.data for chunk in read_back(path)] == [b"whole"]


@pytest.mark.parametrize("line", [b"not json", b'{"at":"2025-04-01T03:00:00Z","t":0,"dir":"up","hex":""}'])
def test_a_line_that_is_not_a_recordings_is_named(path, line):
    path.write_bytes(line + b"\n")
    with pytest.raises(BadMessage, match="line 1"):
        list(read_back(path))


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(Environment) as caught:
        Recorder(tmp_path / "no" / "wire.jsonl", lambda: NOON)
    assert (caught.value.code, "wire.jsonl" in caught.value.detail) == (Code.DISK, True)
    with pytest.raises(Environment):
        list(read_back(tmp_path / "none.jsonl"))


def test_a_full_disk_ends_the_recording_and_not_the_traffic(caplog):
    from pathlib import Path

    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    recorder = Recorder(full, lambda: NOON)
    recorder.note(Direction.TX, b"x")
    recorder.note(Direction.TX, b"y")
    recorder.close()
    assert len(caplog.records) == 1
    assert "No space left" in caplog.text
