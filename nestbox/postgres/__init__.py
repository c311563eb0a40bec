"""An embedded PostgreSQL: the server binaries of a wheel, run by a small wrapper of ours."""

from nestbox.postgres.server import Postgres

__all__ = ["Postgres"]
