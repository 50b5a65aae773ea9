"""What only a store on disk shows: its files, what it does to them, the kernel's ways to send and receive them."""

import pytest

from tests import elsewhere


@pytest.fixture(autouse=True, scope="module")
def only_on_disk() -> None:
    if elsewhere.STORE != "disk":
        pytest.skip("the bytes lie in a bucket")
