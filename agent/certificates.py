"""This host's certificate: its key is made here and never leaves the host; the control plane signs.

Folder: `key.pem` (0600), `certificate.pem`, `authority.pem`. A new key lies in `next.pem` from the request for its
certificate until that is installed.
"""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KEY, CERTIFICATE, AUTHORITY, NEXT_KEY = "key.pem", "certificate.pem", "authority.pem", "next.pem"


class CertificateError(Exception):
    """A certificate cannot be used; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a server needs to speak TLS with callers whose certificates the same authority has signed; all PEM."""

    key: bytes
    certificate: bytes
    authority: bytes
    expires_at: datetime


class Certificates:
    """The certificate in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def is_there(self) -> bool:
        """Whether this host has joined a control plane."""
        return (self._folder / CERTIFICATE).exists()

    def load(self, now: datetime) -> Credentials:
        """What to serve with. Raises: CertificateError if it is damaged, expired, or not yet valid."""
        try:
            key, certificate, authority = ((self._folder / name).read_bytes() for name in (KEY, CERTIFICATE, AUTHORITY))
            parsed = _check(certificate, authority, key, now)
        except (OSError, ValueError) as error:
            raise CertificateError(f"The host's certificate in {self._folder} cannot be read: {error}.") from error
        return Credentials(key, certificate, authority, parsed.not_valid_after_utc)

    def request(self, host_id: str) -> bytes:
        """A request for a certificate with a new key, in PEM; the certificate in use stays until `install`.

        Raises: OSError.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host_id)]))
            .sign(key, hashes.SHA256())
        )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write(self._folder / NEXT_KEY, pem)
        return request.public_bytes(serialization.Encoding.PEM)

    def install(self, certificate: bytes, authority: bytes | None, now: datetime) -> datetime:
        """Takes a certificate into use that was signed for the last `request`, and returns when it expires. `authority`
        None: that of before. May be repeated.

        Raises: CertificateError: it does not fit; nothing has changed. OSError.
        """
        try:
            trusted = authority or (self._folder / AUTHORITY).read_bytes()
            key_path = self._folder / NEXT_KEY
            key = (key_path if key_path.exists() else self._folder / KEY).read_bytes()
            parsed = _check(certificate, trusted, key, now)
        except ValueError as error:
            raise CertificateError(f"This is no certificate: {error}.") from error
        # The certificate last: without one that fits the key, `load` refuses, and the host joins again.
        _write(self._folder / AUTHORITY, trusted)
        _write(self._folder / KEY, key)
        _write(self._folder / CERTIFICATE, certificate)
        (self._folder / NEXT_KEY).unlink(missing_ok=True)
        return parsed.not_valid_after_utc


def _check(certificate: bytes, authority: bytes, key: bytes, now: datetime) -> x509.Certificate:
    """The certificate, if it fits. Raises: CertificateError; ValueError if something is no PEM."""
    parsed, signer = x509.load_pem_x509_certificate(certificate), x509.load_pem_x509_certificate(authority)
    try:
        parsed.verify_directly_issued_by(signer)
    except (InvalidSignature, ValueError, TypeError) as error:
        raise CertificateError("The certificate was signed by another authority: it is of another cluster.") from error
    public = serialization.load_pem_private_key(key, None).public_key()
    if public != parsed.public_key():
        raise CertificateError("The certificate is for another key than this host's.")
    if now >= parsed.not_valid_after_utc:
        raise CertificateError(
            f"The host's certificate expired on {parsed.not_valid_after_utc:%Y-%m-%d %H:%M} UTC. Let the host join "
            f"again: `nestbox host token --again {_identity(parsed)}` on the control plane's computer, then `python -m "
            "agent join` here."
        )
    if now < parsed.not_valid_before_utc:
        raise CertificateError(
            f"Its certificate is valid from {parsed.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on. Is the clock right?"
        )
    return parsed


def _identity(certificate: x509.Certificate) -> str:
    """The id of the host that a certificate is of, as the control plane writes it: the first part of the name."""
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value).partition(".")[0]


def _write(path: Path, content: bytes) -> None:
    """In one step, readable by the agent alone, durable."""
    unfinished = path.with_suffix(".new")
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    unfinished.rename(path)
