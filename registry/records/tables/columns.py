"""What tables are built of: the metadata they stand in, and kinds of columns that two databases treat alike."""

import datetime as dt
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import Integer, String
from sqlalchemy.types import TypeDecorator

metadata: Final = sa.MetaData()


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class Moment(TypeDecorator[dt.datetime]):
    """An aware datetime, kept as microseconds since 1970: SQLite would hand back naive ones."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Any) -> int | None:
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Any) -> dt.datetime | None:
        return None if value is None else _EPOCH + value * _MICROSECOND


Id = sa.BigInteger().with_variant(Integer, "sqlite")
Size = sa.BigInteger


def bytewise(length: int) -> sa.types.TypeEngine[str]:
    """Text that sorts by bytes. SQLite's default does; PostgreSQL's depends on the database's locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")
