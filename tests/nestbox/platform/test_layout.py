import dataclasses
import stat
from pathlib import Path

import pytest

from nestbox.platform.layout import Layout
from nestbox.settings import Settings, read_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "agent").mkdir()
    return read_settings({"NESTBOX_DATA_DIR": str(tmp_path)}, root=False, home=tmp_path)


def test_the_agents_token_is_made_once_and_closed_to_others(settings: Settings) -> None:
    layout = Layout(settings, {})
    layout.ensure_token()
    token = layout.token_file.read_text()
    assert len(token.strip()) >= 32
    assert stat.S_IMODE(layout.token_file.stat().st_mode) == 0o600
    layout.ensure_token()
    assert layout.token_file.read_text() == token


def test_the_database_is_told_to_the_api_only(settings: Settings) -> None:
    inherited = {"PATH": "/usr/bin", "DATABASE_URL": "postgresql://other", "DATABASE_OWNER_URL": "postgresql://other"}
    layout = Layout(settings, inherited)
    assert layout.api_environment("postgresql://secret")["DATABASE_URL"] == "postgresql://secret"
    assert "postgresql" not in " ".join(layout.agent_environment().values())
    assert "secret" not in " ".join(layout.api_command())


def test_the_url_of_the_owner_is_told_to_who_migrates_only(settings: Settings) -> None:
    layout = Layout(settings, {"DATABASE_OWNER_URL": "postgresql://owner"})
    assert "DATABASE_OWNER_URL" not in layout.api_environment("postgresql://api")
    told = layout.api_environment("postgresql://api", "postgresql://owner")
    assert (told["DATABASE_URL"], told["DATABASE_OWNER_URL"]) == ("postgresql://api", "postgresql://owner")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7300"),
        ("0.0.0.0", "http://127.0.0.1:7300"),  # noqa: S104 - nothing is bound here
        ("::1", "http://[::1]:7300"),
        ("nestbox.example", "http://nestbox.example:7300"),
    ],
)
def test_the_url_can_be_opened(settings: Settings, host: str, url: str) -> None:
    assert Layout(dataclasses.replace(settings, api_host=host), {}).api_url == url


def test_what_is_known_about_a_database_goes_with_it(settings: Settings, tmp_path: Path) -> None:
    assert Layout(settings, {}).first_key_marker.is_relative_to(tmp_path / "postgres")
    own = dataclasses.replace(settings, database_url="postgresql://elsewhere/x")
    assert Layout(own, {}).first_key_marker.is_relative_to(tmp_path / "api")
