"""Joining a control plane with a one-time token: it signs this host's certificate, and knows its address from then on.

A token is `nbh_<id>_<secret>_<fingerprint>`: the last part is the SHA-256 of the control plane's authority, so that
this host knows whom it joins before it believes a word of the answer.
"""

import base64
import hashlib
import hmac
import json
import re
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent.certificates import CertificateError, Certificates
from agent.computer import host_id

ANSWER_SECONDS = 30
ANSWER_BYTES_MAX = 64 * 1024  # two certificates of ~1 KB
_TOKEN = re.compile(r"nbh_[a-z2-7]{26}_[a-z2-7]{52}_([a-z2-7]{52})")


class CannotJoin(Exception):
    """Why this host has not joined: a sentence for whoever asked for it."""


def join(data_dir: Path, url: str, token: str, address: str, name: str, now: datetime) -> datetime:
    """Joins the control plane at `url`; it will reach this host at `address` (`host:port`). Returns when the
    certificate expires. May be repeated with a token that was made for this host: the certificate in use is then
    replaced.

    Raises: CannotJoin: nothing has changed here; the token may be used up.
    """
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise CannotJoin("This is no token for a host; such tokens look like nbh_…_…_….")
    _require_private(url)
    certificates = Certificates(data_dir / "tls")
    identity = f"host-{host_id(data_dir)}"
    try:
        request = certificates.request(identity)
        answer = _post(
            f"{url.rstrip('/')}/hosts/register",
            {"token": token, "hostId": identity, "address": address, "name": name, "request": request.decode()},
        )
        authority = str(answer["authority"]).encode()
        if not hmac.compare_digest(_fingerprint(authority), match[1]):
            raise CannotJoin("Whoever answered is not the control plane that made the token: nothing was believed.")
        return certificates.install(str(answer["certificate"]).encode(), authority, now)
    except (OSError, KeyError, TypeError, ValueError, CertificateError) as error:
        raise CannotJoin(f"The host has not joined: {error}.") from error


def _require_private(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme != "http" or not parts.hostname:
        raise CannotJoin("The control plane's address is an URL such as https://nestbox.example.org.")
    try:
        loopback = parts.hostname == "localhost" or ip_address(parts.hostname).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise CannotJoin("A token crosses the network over https only: whoever reads it can pose as a host.")


def _post(url: str, content: dict[str, str]) -> dict[str, Any]:
    """Raises: CannotJoin with the control plane's own words; OSError, ValueError, TypeError."""
    request = Request(url, json.dumps(content).encode(), {"content-type": "application/json"})  # noqa: S310 - checked
    loopback = urlsplit(url).scheme == "http"
    opener = build_opener(ProxyHandler({})) if loopback else build_opener()
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            parsed = json.loads(answer.read(ANSWER_BYTES_MAX))
    except HTTPError as error:
        with error:
            try:
                message = json.loads(error.read(ANSWER_BYTES_MAX))["error"]["message"]
            except (ValueError, KeyError, TypeError):
                message = f"The control plane answered with status {error.code}."
        raise CannotJoin(message) from error
    except URLError as error:
        raise CannotJoin(f"The control plane does not answer: {error.reason}.") from error
    if not isinstance(parsed, dict):
        raise TypeError("the answer is no object")
    return parsed


def _fingerprint(authority: bytes) -> str:
    der = x509.load_pem_x509_certificate(authority).public_bytes(Encoding.DER)
    return base64.b32encode(hashlib.sha256(der).digest()).decode().rstrip("=").lower()
