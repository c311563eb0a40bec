"""The way to this host over a network: TLS, both sides with certificates of one authority."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import cast

import grpc

from agent.certificates import CertificateError, Certificates, Credentials
from agent.errors import AgentError, Code


class SecureLink:
    """TLS with this host's certificate; callers must show one of the same authority, made for callers. New connections
    are greeted with the newest certificate."""

    def __init__(self, certificates: Certificates, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Raises: CertificateError."""
        self._certificates = certificates
        self._now = now
        self._current = certificates.load(now())
        self._shown = self._current

    @property
    def expires_at(self) -> datetime:
        """Of the certificate in use."""
        return self._current.expires_at

    def request(self, identity: str) -> bytes:
        """See `Certificates.request`."""
        return self._certificates.request(identity)

    def install(self, certificate: bytes) -> datetime:
        """See `Certificates.install`. Raises: AgentError INVALID."""
        try:
            expires_at = self._certificates.install(certificate, None, self._now())
            self._current = self._certificates.load(self._now())
        except CertificateError as error:
            raise AgentError(Code.INVALID, str(error)) from error
        return expires_at

    def credentials(self) -> grpc.ServerCredentials:
        """For a server. It asks for the newest certificate at each handshake, in a thread of gRPC's."""
        # None, for "as before", is what gRPC documents; its types do not know it
        newer = cast("Callable[[], grpc.ServerCertificateConfiguration]", self._newer)
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._current), newer, require_client_authentication=True
        )

    def _newer(self) -> grpc.ServerCertificateConfiguration | None:
        current = self._current
        if current is self._shown:
            return None
        self._shown = current
        return _configuration(current)


def _configuration(credentials: Credentials) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(credentials.key, credentials.certificate)], root_certificates=credentials.authority
    )
