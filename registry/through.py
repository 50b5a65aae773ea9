"""The database with something put before it: who changes one way of using it writes that one, and has the rest."""

from registry.records.engine import Rows, T, Unit
from registry.records.hot import Question


class Through:
    """`Rows` by means of another's."""

    def __init__(self, db: Rows) -> None:
        self._db = db

    async def write(self, unit: Unit[T]) -> T:
        return await self._db.write(unit)

    async def housekeep(self, unit: Unit[T]) -> T:
        return await self._db.housekeep(unit)

    def note(self, unit: Unit[object]) -> None:
        self._db.note(unit)

    async def read(self, unit: Unit[T]) -> T:
        return await self._db.read(unit)

    async def point(self, unit: Unit[T]) -> T:
        return await self._db.point(unit)

    async def ask(self, question: Question) -> tuple[object, ...] | None:
        return await self._db.ask(question)

    def version(self) -> int | None:
        return self._db.version()
