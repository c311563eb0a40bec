"""Pages, health and the schema's text: what is open to everyone."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from graphql import build_schema

from api.http.pages import PAGE_POLICY
from tests.api.conftest import Platform

ROOT = Path(__file__).parents[3]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture
def http(platform: Platform) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=platform.url, trust_env=False) as found:
        yield found


@pytest.fixture
def built(platform: Platform) -> Iterator[Path]:
    """A dashboard, as small as it can be."""
    directory = platform.dashboard_dir
    (directory / "assets").mkdir()
    files = {
        "index.html": "<title>dashboard</title>",
        "explorer.html": "<title>explorer</title>",
        "favicon.svg": "<svg/>",
        "assets/index-abc123.js": "1",
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    (directory.parent / "secret.txt").write_text("secret")
    (directory / "link.txt").symlink_to(directory.parent / "secret.txt")
    yield directory
    for name in (*files, "link.txt"):
        (directory / name).unlink()
    (directory / "assets").rmdir()


@pytest.mark.parametrize("path", ["/", "/explorer"])
def test_a_dashboard_that_is_not_built_says_how_to_build_it(http: httpx.Client, path: str) -> None:
    response = http.get(path)

    assert response.status_code == 503
    assert "make setup" in response.text


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "dashboard"),
        ("/sandboxes/sb-1", "dashboard"),
        ("/index.html", "dashboard"),
        ("/explorer", "explorer"),
        ("/explorer/", "explorer"),
    ],
)
def test_pages_are_served_under_a_strict_policy(http: httpx.Client, built: Path, path: str, title: str) -> None:
    response = http.get(path, headers={"accept": BROWSER})

    assert response.status_code == 200
    assert title in response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"] == PAGE_POLICY
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-cache"
    assert "unsafe" not in PAGE_POLICY
    head = http.head(path, headers={"accept": BROWSER})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == response.headers["content-length"]
    assert head.headers["content-type"] == response.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        ("/graphql/", BROWSER),
        ("/graphql/x", "*/*"),
        ("/assets/", BROWSER),
        ("/healthz/", BROWSER),
        ("/api/x", "*/*"),
        ("/sandboxes/sb-1", "application/json"),
        ("/sandboxes/sb-1/files/x", "*/*"),
        ("/metrics/x", ""),
    ],
)
def test_programs_get_no_page_where_there_is_nothing(http: httpx.Client, built: Path, path: str, accept: str) -> None:
    response = http.get(path, headers={"accept": accept})

    assert (response.status_code, response.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["content-type"] == "application/json"


def test_the_policy_is_the_one_that_the_dashboard_is_developed_under() -> None:
    policies = json.loads((ROOT / "frontend/csp.json").read_text())

    assert policies == {"dashboard": PAGE_POLICY, "explorer": PAGE_POLICY}


def test_assets_are_kept_by_browsers_for_ever(http: httpx.Client, built: Path) -> None:
    asset = http.get("/assets/index-abc123.js")
    assert (asset.status_code, asset.text) == (200, "1")
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"].startswith("text/javascript")
    assert http.head("/assets/index-abc123.js").status_code == 200
    assert http.get("/favicon.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    [
        "/missing.js",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/link.txt",
        "/a%00b.txt",
        "/..%2fsecret.txt",
        "/" + "x" * 5000 + ".js",
    ],
)
def test_what_is_not_there_or_not_ours_is_not_found(http: httpx.Client, built: Path, path: str) -> None:
    response = http.get(path)

    assert (response.status_code, response.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert "secret" not in response.text


def test_other_methods_are_refused(http: httpx.Client) -> None:
    response = http.post("/")

    assert (response.status_code, response.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")


def test_health_and_readiness_are_open(http: httpx.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    ready = http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"
    assert all(check["ok"] for check in ready.json()["checks"])
    assert ready.headers["x-request-id"]


def test_the_schema_is_served_as_text(http: httpx.Client) -> None:
    response = http.get("/schema.graphql")

    assert response.text == (ROOT / "schema.graphql").read_text()
    assert build_schema(response.text).mutation_type
