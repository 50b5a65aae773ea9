"""How many bytes are held, held against a count by hand: any repositories, accounts, regions, stores and links."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.names import AccountId, Digest, Region, RegistryRef
from registry.records import blobs, images, repositories, schema, usage
from registry.records.engine import Database, Tx
from registry.records.usage import Usage
from tests.registry.records.rows import NOW, image, repository

ACCOUNTS = [AccountId("111111111111"), AccountId("222222222222")]
REGIONS = [Region("eu-west-1"), Region("us-east-1")]
REGISTRIES = [RegistryRef(account, region) for account in ACCOUNTS for region in REGIONS]
NAMES = [(registry, f"repo-{number}") for registry in REGISTRIES for number in range(2)]
# Which repository holds which of six blobs, and images of which sizes.
HOLDINGS = st.dictionaries(
    st.sampled_from(range(len(NAMES))), st.tuples(st.sets(st.integers(0, 5)), st.sets(st.integers(1, 4))), max_size=8
)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    opened = Database(Path(tmp_path_factory.mktemp("usage")) / "longshore.db")
    opened.write_here(schema.upgrade)
    yield opened
    opened.close()


def size_of(number: int) -> int:
    return 10**number


def by_hand(holdings: dict[int, tuple[set[int], set[int]]], chosen: set[int]) -> Usage:
    """Each blob once for each store, that is region."""
    held = {(NAMES[one][0].region, number) for one in chosen & set(holdings) for number in holdings[one][0]}
    pushed = [size for one in chosen & set(holdings) for size in holdings[one][1]]
    return Usage(
        blobs=len(held),
        blob_bytes=sum(size_of(number) for _, number in held),
        images=len(pushed),
        image_bytes=sum(pushed),
    )


def fill(tx: Tx, holdings: dict[int, tuple[set[int], set[int]]]) -> dict[int, int]:
    """Write what is held; the repositories' ids."""
    ids: dict[int, int] = {}
    for one, (held, pushed) in holdings.items():
        registry, name = NAMES[one]
        made = repositories.insert(tx, repository(registry, name))
        assert made is not None
        ids[one] = made.id
        for number in held:
            key = f"{registry.region}-{number}"
            blob, _ = blobs.put(
                tx,
                store_id=f"store of {registry.region}",
                digest=Digest.of(bytes([number])),
                size=size_of(number),
                key=key,
                identity=None,
                replaces=None,
                now=NOW,
                good=key,
            )
            blobs.link(tx, ids[one], blob, NOW)
        for size in pushed:
            images.insert(tx, image(ids[one], Digest.of(b"x" * size), body_size=size), b"x" * size, [], [])
    return ids


@given(holdings=HOLDINGS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_usage_is_what_a_count_by_hand_gives(db: Database, holdings: dict[int, tuple[set[int], set[int]]]) -> None:
    def count(tx: Tx) -> None:  # in a transaction that is rolled back
        ids = fill(tx, holdings)

        for one in holdings:
            assert usage.of_repository(tx, ids[one]) == by_hand(holdings, {one})
        for account in ACCOUNTS:
            mine = {one for one, (registry, _) in enumerate(NAMES) if registry.account == account}
            assert usage.of_account(tx, account) == by_hand(holdings, mine)
            for region in REGIONS:
                here = {one for one in mine if NAMES[one][0].region == region}
                assert usage.of_account(tx, account, region) == by_hand(holdings, here)
        pages = usage.by_repository(tx, after=0, limit=100)
        assert {row[0]: row[3] for row in pages} == {ids[one]: by_hand(holdings, {one}) for one in holdings}
        assert usage.accounts(tx) == sorted({NAMES[one][0].account for one in holdings})

    db.read_here(count)
