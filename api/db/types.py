"""Column types that SQLAlchemy lacks."""

from typing import Any

from sqlalchemy.types import UserDefinedType


class Xid8(UserDefinedType[int]):
    """A 64-bit transaction id, which never wraps around. asyncpg gives and takes it as an int."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "xid8"
