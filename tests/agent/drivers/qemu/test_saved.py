"""What a QEMU that is no longer ours may do to the file it saves its state to."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.drivers.qemu import manifests
from agent.drivers.qemu.saved import STATE_BYTES_MAX, Unfinished

HOLES_BYTES = 8 << 40  # would be read for an hour


@pytest.fixture
def unfinished(tmp_path: Path) -> Iterator[Unfinished]:
    made = Unfinished(tmp_path, "unfinished-it", "it")
    yield made
    made.close()


def test_state_is_cut_to_what_was_written(unfinished: Unfinished) -> None:
    os.write(unfinished.state_fd, b"state")
    assert unfinished.finish_state() == manifests.sum_of_bytes(b"state")


def test_a_position_beyond_all_state_is_refused_unread(unfinished: Unfinished) -> None:
    os.lseek(unfinished.state_fd, HOLES_BYTES, os.SEEK_SET)
    with pytest.raises(OSError, match="device state") as caught:
        unfinished.finish_state()
    assert caught.value.errno == errno.EFBIG
    assert os.fstat(unfinished.state_fd).st_size < STATE_BYTES_MAX


def test_a_file_that_grows_is_read_no_further_than_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "state"
    file.touch()
    os.truncate(file, HOLES_BYTES)
    assert STATE_BYTES_MAX < manifests.sum_of_file(file, STATE_BYTES_MAX).size_bytes < 2 * STATE_BYTES_MAX
