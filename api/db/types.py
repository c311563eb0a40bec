"""Column types that SQLAlchemy lacks."""

from typing import Any

from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[int]):
    """A 64-bit transaction id, which never wraps around. asyncpg gives and takes it as an int."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """As it is called in SQL."""
        return "xid8"


# SQLAlchemy's reflection has no other way to learn of a type; without it, comparing the database to the tables warns
ischema_names["xid8"] = Xid8
