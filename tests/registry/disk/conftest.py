"""What only one process over a store on disk shows: its files, and the kernel's ways to send and receive them."""

import pytest

from tests import elsewhere


@pytest.fixture(autouse=True, scope="module")
def only_there() -> None:
    if (elsewhere.STORE, elsewhere.SERVERS, elsewhere.FAST) != ("disk", 1, "on"):
        pytest.skip("another set-up is tried")
