from pathlib import Path

import pytest

from nestbox.errors import Problem
from nestbox.settings import read_settings

HOME = Path("/home/someone")


def test_root_keeps_its_data_where_other_accounts_can_reach_it() -> None:
    settings = read_settings({}, root=True, home=Path("/root"))
    assert settings.data_dir == Path("/var/lib/nestbox")
    assert settings.cache_dir == Path("/root/.cache/nestbox")


def test_others_keep_theirs_in_their_home() -> None:
    settings = read_settings({}, root=False, home=HOME)
    assert settings.data_dir == HOME / ".local/share/nestbox"
    assert settings.cache_dir == HOME / ".cache/nestbox"


def test_the_xdg_folders_count() -> None:
    environment = {"XDG_DATA_HOME": "/data", "XDG_CACHE_HOME": "/cache"}
    settings = read_settings(environment, root=False, home=HOME)
    assert (settings.data_dir, settings.cache_dir) == (Path("/data/nestbox"), Path("/cache/nestbox"))


def test_the_environment_decides() -> None:
    environment = {
        "NESTBOX_DATA_DIR": "/elsewhere",
        "NESTBOX_API_PORT": "8000",
        "NESTBOX_AGENT_ADDRESS": "127.0.0.1:8001",
        "DATABASE_URL": "postgresql://database/x",
        "DATABASE_OWNER_URL": "postgresql://owner@database/x",
    }
    settings = read_settings(environment, root=True, home=HOME)
    assert settings.data_dir == Path("/elsewhere")
    assert (settings.api_port, settings.agent_address) == (8000, "127.0.0.1:8001")
    assert settings.database_url == "postgresql://database/x"
    assert settings.database_owner_url == "postgresql://owner@database/x"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http", "7300 "])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(Problem, match="NESTBOX_API_PORT"):
        read_settings({"NESTBOX_API_PORT": port}, root=False, home=HOME)
