"""Who a request comes from, and which cookies it gets."""

from typing import Any

import pytest
from starlette.datastructures import Headers

from api.http.caller import Site, cookie, cookie_line


def _scope(client: str, *forwarded: str, scheme: str = "http") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"type": "http", "scheme": scheme, "client": (client, 1), "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        # nobody believes a stranger
        ("192.0.2.1", ("198.51.100.9",), "192.0.2.1"),
        ("10.0.0.1", ("198.51.100.9",), "198.51.100.9"),
        # what the client itself sent stands before what the proxy added
        ("10.0.0.1", ("203.0.113.5, 198.51.100.9",), "198.51.100.9"),
        ("10.0.0.1", ("203.0.113.5", "198.51.100.9"), "198.51.100.9"),
        ("10.0.0.1", ("203.0.113.5", "198.51.100.9", "10.0.0.2"), "198.51.100.9"),
        ("10.0.0.1", ("198.51.100.9, 10.0.0.2",), "198.51.100.9"),
        ("10.0.0.1", ("nonsense",), "10.0.0.1"),
        ("10.0.0.1", ("x" * 100_000,), "10.0.0.1"),
        ("10.0.0.1", (), "10.0.0.1"),
        ("10.0.0.1", ("2001:db8::1",), "2001:db8::1"),
    ],
)
def test_only_a_trusted_proxy_says_who_asks(client: str, forwarded: tuple[str, ...], address: str) -> None:
    site = Site(trusted_proxies=frozenset({"10.0.0.1", "10.0.0.2"}))
    assert site.address(_scope(client, *forwarded)) == address


def test_cookies_are_for_tls_only_where_there_is_tls() -> None:
    assert not Site().is_secure(_scope("192.0.2.1"))
    assert Site().is_secure(_scope("192.0.2.1", scheme="https"))
    assert Site(public_url="https://nestbox.example").is_secure(_scope("192.0.2.1"))
    assert cookie_line("a", "b", path="/", seconds=1, secure=True).endswith("; HttpOnly; SameSite=Lax; Secure")


def test_other_cookies_of_this_computer_do_not_hide_ours() -> None:
    headers = Headers(raw=[(b"cookie", b'x={"a": [1]}; =; nestbox_session=t; y="\xff')])
    assert cookie(headers, "nestbox_session") == "t"
    assert cookie(Headers(), "nestbox_session") == ""


def test_the_public_address_is_an_origin_of_ours() -> None:
    assert Site(("https://a.example",), public_url="https://b.example").all_origins == (
        "https://a.example",
        "https://b.example",
    )
