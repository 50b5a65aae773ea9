"""Webhooks as a way in: URLs that lead inside (promises.md T42, P14)."""

import contextlib
import dataclasses
import datetime as dt
from collections.abc import AsyncIterator, Iterator

import pytest

from registry import delivering, webhooks
from registry.context import Deps
from registry.errors import InvalidParameter
from registry.records import listeners
from registry.records.listeners import Listener
from registry.remote.egress import Egress
from registry.webhooks import Wish
from tests import canary, places, receivers
from tests.canary import Canary
from tests.inside_hosts import HOSTS
from tests.places import REGISTRY, database_of

SECRET = b"s" * 32


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deps]:
    with places.rooms(tmp_path_factory.mktemp("webhooks") / "data") as found:
        yield found


@pytest.fixture
async def deps(rooms: Deps) -> AsyncIterator[Deps]:
    found = dataclasses.replace(rooms, egress=Egress())
    yield found
    await found.egress.close()


@pytest.fixture(scope="module")
def bird() -> Iterator[Canary]:
    with canary.listening() as found:
        yield found


def forget(deps: Deps) -> None:
    """Let there be no webhook `inside`."""
    known = database_of(deps).read_here(lambda tx: listeners.find(tx, REGISTRY, "inside"))
    if known is not None:
        database_of(deps).write_here(lambda tx: listeners.remove(tx, known.id))


def written(deps: Deps, url: str) -> Listener:
    """A webhook as it is in the rows, however it came there."""
    new = Listener(
        id=0,
        kind="webhook",
        account=REGISTRY.account,
        region=REGISTRY.region,
        name="inside",
        url=url,
        sealed_secret=deps.sealer.seal_bytes("secret", SECRET),
        types=(),
        filters=(),
        most_waiting=10,
        created_at=dt.datetime.now(dt.UTC),
    )
    forget(deps)
    added = database_of(deps).write_here(lambda tx: listeners.insert(tx, new))
    assert added is not None
    return added


@pytest.mark.parametrize("host", HOSTS)
async def test_no_webhook_leads_inside_however_its_host_is_written(deps, bird, host):
    """Created, tried, and delivered to: the last two also where the row is there in spite of all."""
    url = f"http://{host}:{bird.url.rpartition(':')[2]}/"
    forget(deps)
    with contextlib.suppress(InvalidParameter):  # a name that leads nowhere now is none of the guard's business
        created = await webhooks.add(deps, REGISTRY, Wish(name="inside", url=url, secret=SECRET))
        assert created is not None
        await webhooks.test(deps, REGISTRY, created)
    hook = written(deps, url)
    tried = await webhooks.test(deps, REGISTRY, hook)
    sent = await delivering.send(deps, hook, "id", "{}")

    assert bird.hits == 0
    assert tried.error and sent.error
    assert tried.status is sent.status is None


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost", "10.0.0.1", "169.254.169.254", "[::ffff:7f00:1]"])
async def test_a_webhook_that_plainly_leads_inside_is_refused_when_it_is_added(deps, host):
    with pytest.raises(InvalidParameter, match=r"not allowed: see egress\.allow"):
        await webhooks.add(deps, REGISTRY, Wish(name="refused", url=f"http://{host}:8080/", secret=SECRET))


async def test_a_name_that_leads_elsewhere_the_second_time_gains_nothing(rooms, bird):
    """Public when the webhook was added, loopback when it is sent to."""
    answers = iter([["93.184.216.34"]])

    async def resolve(_host: str, _port: int) -> list[str]:
        return next(answers, ["127.0.0.1"])

    deps = dataclasses.replace(rooms, egress=Egress(resolve=resolve))
    url = f"http://rebind.example:{bird.url.rpartition(':')[2]}/"
    added = await webhooks.add(deps, REGISTRY, Wish(name="rebind", url=url, secret=SECRET))
    assert added is not None
    sent = await delivering.send(deps, added, "id", "{}")
    await deps.egress.close()

    assert (sent.status, bird.hits) == (None, 0)
    assert "not allowed" in (sent.error or "")


async def test_a_redirect_inside_is_not_followed(rooms, bird):
    with receivers.receiving() as receiver:
        deps = dataclasses.replace(rooms, egress=Egress([f"127.0.0.1:{receiver.port}"]))
        receiver.reply = receivers.answer(307, Location=bird.url)
        sent = await delivering.send(deps, written(deps, receiver.url), "id", "{}")
        await deps.egress.close()

    assert (sent.status, bird.hits) == (307, 0)
