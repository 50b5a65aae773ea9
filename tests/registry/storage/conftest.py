"""An S3 store on a bucket of the test's own, and bytes to put into it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from registry.names import Region
from registry.storage.s3 import S3Store
from registry.storage.s3_bucket import Bucket
from registry.storage.s3_calls import Patience
from tests.s3_relay import Relay
from tests.s3_servers import TestBucket

MakeStore = Callable[..., S3Store]
QUICK = Patience(call=15, renewal=0)


@pytest.fixture
async def make_store(bucket: TestBucket, tmp_path: Path) -> AsyncIterator[MakeStore]:
    """A function that opens the bucket's store, as one server of possibly several would: `machine` tells them apart.

    `more` are settings of [storage].
    """
    opened: list[S3Store] = []

    def make(
        *,
        machine: str = "one",
        region: str = "us-east-1",
        store_id: str = "00" * 16,
        is_new: bool = True,
        largest: int = 1 << 30,
        patience: Patience = QUICK,
        **more: Any,
    ) -> S3Store:
        place = bucket.place(**more)
        store = S3Store(
            place,
            Region(region),
            store_id=store_id,
            is_new=is_new,
            spool_directory=tmp_path / machine,
            largest=largest,
            bucket=Bucket(place, patience),
        )
        opened.append(store)
        return store

    yield make
    for store in opened:
        await store.close()


@pytest.fixture
async def store(make_store: MakeStore) -> S3Store:
    return make_store()


@pytest.fixture
async def relayed(make_store: MakeStore, s3_relay: Relay) -> S3Store:
    """The store behind the relay, opened before anything fails."""
    found = make_store(endpoint=s3_relay.url)
    await found.prove()
    return found
