import os
import socket
from pathlib import Path

import pytest

from nestbox.errors import Problem
from nestbox.platform.ports import check_port, port_holder


def test_a_free_port_is_no_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    check_port("127.0.0.1", port, "the API", "--api-port")
    assert port_holder(port) is None


def test_a_taken_port_is_told_with_who_has_it_and_what_to_do() -> None:
    name = Path("/proc/self/comm").read_text().strip()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Problem) as refused:
            check_port("127.0.0.1", port, "the API", "--api-port")
    assert f"Port {port} for the API is taken by {name} (process {os.getpid()})" in refused.value.message
    assert "--api-port" in refused.value.mend


def test_a_port_taken_over_ipv6_has_a_holder_too() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        assert str(os.getpid()) in (port_holder(taken.getsockname()[1]) or "")


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(Problem, match=r"192\.0\.2\.1"):
        check_port("192.0.2.1", 7300, "the API", "NESTBOX_API_HOST")
