"""The cluster's own certificate authority: it signs the certificates of hosts and of replicas, and nothing else.

Files, in a folder that all replicas are given: `authority.pem`, and `authority.key` (0600). Hosts get certificates for
servers only, replicas for clients only, so that no host can call another.
"""

import base64
import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from api.errors import Invalid
from api.ids import Kind, wire_id

CERTIFICATE, KEY = "authority.pem", "authority.key"
AUTHORITY_LIFETIME = timedelta(days=20 * 365)
HOST_LIFETIME = timedelta(days=90)
REPLICA_LIFETIME = timedelta(days=30)
RENEWED_BEFORE = HOST_LIFETIME / 3
"""A host gets a new certificate when its own is valid no longer than this."""
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Certificates are valid from a little before now, for computers whose clocks are behind."""
REQUEST_BYTES_MAX = 16 * 1024


@dataclass(frozen=True, slots=True)
class ReplicaCredentials:
    """What a replica shows to hosts; all PEM."""

    key: bytes
    certificate: bytes
    authority: bytes


class Authority:
    """Made by `create` or `load`."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def load(cls, folder: Path) -> "Authority":
        """Raises: OSError, ValueError, TypeError."""
        key = load_pem_private_key((folder / KEY).read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{folder / KEY} is no key of this authority")
        return cls(x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes()), key)

    @classmethod
    def create(cls, folder: Path, now: datetime) -> "Authority":
        """A new one, in a folder that has none. Raises: OSError."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Nestbox cluster")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_TOLERANCE)
            .not_valid_after(now + AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signs_only(), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(folder / KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        _write_new(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM))
        return cls(certificate, key)

    @property
    def certificate(self) -> bytes:
        """What everybody may know, PEM."""
        return self._certificate.public_bytes(Encoding.PEM)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in base32 without capitals and padding."""
        digest = hashlib.sha256(self._certificate.public_bytes(Encoding.DER)).digest()
        return base64.b32encode(digest).decode().rstrip("=").lower()

    def certify_host(self, request: bytes, host_id: UUID, now: datetime) -> tuple[bytes, datetime]:
        """A certificate for a host's own key, PEM, and when it expires. Of the request only the key is believed: the
        name is given, since it is by that name that the host is called.

        Raises: Invalid.
        """
        if len(request) > REQUEST_BYTES_MAX:
            raise Invalid("The request for a certificate is too large.", path=("request",))
        try:
            parsed = x509.load_pem_x509_csr(request)
            proven = parsed.is_signature_valid
            key = parsed.public_key()
        except ValueError as error:
            raise Invalid("This is no request for a certificate.", path=("request",)) from error
        if not proven or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise Invalid("The request for a certificate is not signed by a key of P-256.", path=("request",))
        expires_at = now + HOST_LIFETIME
        certificate = self._sign(key, server_name(host_id), ExtendedKeyUsageOID.SERVER_AUTH, now, expires_at)
        return certificate, expires_at

    def certify_replica(self, now: datetime) -> ReplicaCredentials:
        """A key and a certificate for this replica, as a caller of hosts."""
        key = ec.generate_private_key(ec.SECP256R1())
        expires_at = now + REPLICA_LIFETIME
        certificate = self._sign(
            key.public_key(), "api.nestbox.internal", ExtendedKeyUsageOID.CLIENT_AUTH, now, expires_at
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return ReplicaCredentials(pem, certificate, self.certificate)

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey,
        name: str,
        usage: x509.ObjectIdentifier,
        now: datetime,
        expires_at: datetime,
    ) -> bytes:
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_TOLERANCE)
            .not_valid_after(min(expires_at, self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)


def authority_in(folder: Path | None) -> Authority | None:
    """The authority in a folder, made if there is none; None without a folder.

    Raises: OSError, ValueError, TypeError: what is there is no authority.
    """
    if folder is None:
        return None
    if not (folder / CERTIFICATE).exists():
        try:
            return Authority.create(folder, datetime.now(UTC))
        except FileExistsError as error:
            raise OSError(
                f"{folder} holds half of an authority: remove {KEY} there, or give back {CERTIFICATE}"
            ) from error
    return Authority.load(folder)


def server_name(host_id: UUID) -> str:
    """The name that a host's certificate bears, and that a replica asks for when it calls: an address that another host
    has taken is not believed."""
    return f"{wire_id(Kind.HOST, host_id)}.hosts.nestbox.internal"


def _signs_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _write_new(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
