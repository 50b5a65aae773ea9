"""What deciding costs in statements: nothing, once a caller was seen and as long as no right changes.

Each request is answered twice with the whole of access control and twice with none: login, users, groups, managed and
inline policies, a boundary, policies of repository and registry, a service control policy, against a yes to everything.
The second answers take the same statements, one by one.
"""

import asyncio
import contextlib
import dataclasses
import http.client
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import sqlalchemy as sa
from aiohttp import web

from longshore import config, wiring
from policies.access import Decision
from registry.auth.authorizer import Asked, Authorizer
from registry.context import Deps
from registry.records.engine import Database
from registry.records.hot import Question
from registry.v2 import routes
from tests.builders import Built, digest_of, image, push
from tests.commands import longshore
from tests.iam import Keys, client, make_user, policy, trusts
from tests.servers import ACCOUNT, REGION, RunningServer, basic

REPOSITORY: Final = "team/app"
ARN: Final = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/{REPOSITORY}"
PULL: Final = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:ListImages"]
CALLERS: Final = ("user-by-key", "user-by-login", "user-by-bearer", "role", "nobody", "root")


class Stage(NamedTuple):
    """A data directory with all kinds of policies in it, and the logins of its callers."""

    data: Path
    built: Built
    logins: Mapping[str, str]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    server = RunningServer(tmp_path_factory.mktemp("statements") / "data")
    server.start()
    try:
        return _staged(server)
    finally:
        server.stop()


def _staged(server: RunningServer) -> Stage:
    server.create(REPOSITORY, tags=[{"Key": "team", "Value": "app"}])
    built = image()
    push(server, REPOSITORY, built, "v1")
    _, keys = make_user(server, "ann")
    with server.client("iam") as iam:
        iam.create_group(GroupName="pullers")
        iam.add_user_to_group(GroupName="pullers", UserName="ann")
        iam.put_group_policy(GroupName="pullers", PolicyName="p", PolicyDocument=policy(Action="ecr:*", Resource="*"))
        iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=policy(Action="sts:*", Resource="*"))
        bound = iam.create_policy(PolicyName="bound", PolicyDocument=policy(Action="*", Resource="*"))["Policy"]["Arn"]
        iam.put_user_permissions_boundary(UserName="ann", PermissionsBoundary=bound)
        trust = trusts(f"arn:aws:iam::{ACCOUNT}:root")
        iam.create_role(RoleName="ci", AssumeRolePolicyDocument=trust)
        iam.attach_role_policy(RoleName="ci", PolicyArn=bound)
    everyone = {"Effect": "Allow", "Principal": "*", "Action": PULL}
    with server.client() as ecr:
        ecr.set_repository_policy(repositoryName=REPOSITORY, policyText=policy(everyone))
        ecr.put_registry_policy(policyText=policy({**everyone, "Resource": "*"}))
    scp = server.data.parent / "scp.json"
    scp.write_text(policy(Action="*", Resource="*"), encoding="utf-8")
    longshore("admin", "scp", "put", ACCOUNT, scp, "--data", server.data)
    with client(server, "sts", keys) as sts:
        arn = f"arn:aws:iam::{ACCOUNT}:role/ci"
        session = Keys.of(sts.assume_role(RoleArn=arn, RoleSessionName="build")["Credentials"])
    logins = {
        "root": server.basic,
        "user-by-key": basic(keys.access_key_id, keys.secret),
        "user-by-login": _login(server, keys),
        "user-by-bearer": _bearer(server, basic(keys.access_key_id, keys.secret)),
        "role": _login(server, session),
        "nobody": _bearer(server, None),
    }
    return Stage(server.data, built, logins)


def _login(server: RunningServer, keys: Keys) -> str:
    with client(server, "ecr", keys) as ecr:
        return f"Basic {ecr.get_authorization_token()['authorizationData'][0]['authorizationToken']}"


def _bearer(server: RunningServer, auth: str | None) -> str:
    return f"Bearer {server.request('GET', '/token', auth=auth).json['token']}"


class YesToAll(Authorizer):
    """No access control."""

    async def decide(self, asked: Asked) -> Decision:
        return Decision(kind="allowed")


@contextlib.contextmanager
def statements() -> Iterator[list[str]]:
    """Every statement that goes to a database: SQLAlchemy's, and those by the driver itself."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement != "BEGIN":
            found.append(" ".join(statement.split()))

    real = Database.glance

    def glance(db: Database, question: Question) -> tuple[object, ...] | None:
        found.append(question.sqlite)
        return real(db, question)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    Database.glance = glance  # type: ignore[assignment, method-assign] # for a moment
    try:
        yield found
    finally:
        Database.glance = real  # type: ignore[method-assign]
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


class Door:
    """The OCI door of one process, without what stands before it."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(self, method: str, path: str, login: str) -> int:
        def send() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            connection.request(method, path, headers={"Authorization": login})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status

        return await asyncio.to_thread(send)


@contextlib.asynccontextmanager
async def door(deps: Deps) -> AsyncIterator[Door]:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return await routes.handle(deps, request, "request-id")

    runner = web.ServerRunner(web.Server(answer, auto_decompress=False), shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Door(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@pytest.fixture
async def parts(stage: Stage) -> AsyncIterator[Deps]:
    made = wiring.build(config.load(data=stage.data, file=None, env={}, flags={}), "http://localhost:5000")
    yield made
    await wiring.close(made)


async def warm(deps: Deps, method: str, path: str, login: str) -> list[str]:
    """The statements of the third of three like requests; a key's use is noted after the first."""
    async with door(deps) as opened:
        for _ in range(2):
            assert await opened.ask(method, path, login) < 300
            await deps.db.write(lambda tx: None)  # what was noted is written
            await deps.stamped.stamp()
        with statements() as found:
            assert await opened.ask(method, path, login) < 300
            return list(found)


PATHS: Final = {
    "manifest-by-tag": ("GET", "manifests/v1"),
    "manifest-by-digest": ("GET", "manifests/{manifest}"),
    "manifest-head": ("HEAD", "manifests/v1"),
    "blob": ("GET", "blobs/{blob}"),
    "blob-head": ("HEAD", "blobs/{blob}"),
    "tags": ("GET", "tags/list"),
    "referrers": ("GET", "referrers/{manifest}"),
    "upload-begun": ("POST", "blobs/uploads/"),
}


# Nobody may push who did not log in.
CASES: Final = [(name, caller) for name in PATHS for caller in CALLERS if (name, caller) != ("upload-begun", "nobody")]


@pytest.mark.parametrize(("name", "caller"), CASES, ids="-".join)
async def test_deciding_adds_no_statement_to_a_warm_request(stage: Stage, parts: Deps, name: str, caller: str) -> None:
    method, rest = PATHS[name]
    path = f"/v2/{REPOSITORY}/" + rest.format(manifest=stage.built.digest, blob=digest_of(stage.built.blobs[1]))
    decided = await warm(parts, method, path, stage.logins[caller])
    open_to_all = dataclasses.replace(parts, authorizer=YesToAll(parts.stamped))
    undecided = await warm(open_to_all, method, path, stage.logins[caller])

    assert decided == undecided
    assert len(decided) <= 2  # what the answer itself is made of
    rights = ("identities", "inline_policies", "attachments", "group_members", "access_keys", "accounts", "stamps")
    assert [one for one in decided for table in rights if f"FROM {table}" in one or f"JOIN {table}" in one] == []


async def test_after_a_commit_that_changes_no_right_one_statement_reads_the_stamp(stage: Stage, parts: Deps) -> None:
    login = stage.logins["user-by-key"]
    async with door(parts) as opened:
        path = f"/v2/{REPOSITORY}/manifests/v1"
        before = await warm(parts, "GET", path, login)
        with contextlib.closing(Database(stage.data / wiring.DATABASE)) as other:
            other.write_here(lambda tx: tx.execute(sa.text("UPDATE accounts SET created_at = created_at + 1")))
        with statements() as found:
            assert await opened.ask("GET", path, login) == 200

    assert [one for one in found if one not in before] == ["SELECT value FROM stamps WHERE name = 'policy'"]
    assert len(found) == len(before) + 1


async def test_the_count_would_see_a_decision_that_reads(stage: Stage, parts: Deps) -> None:
    """The first request of a caller reads their policies: those statements are seen."""
    async with door(parts) as opened:
        with statements() as found:
            assert await opened.ask("GET", f"/v2/{REPOSITORY}/manifests/v1", stage.logins["user-by-key"]) == 200

    tables = ("identities", "inline_policies", "attachments", "registry_policies", "accounts", "repositories")
    assert [table for table in tables if not any(f"FROM {table}" in one for one in found)] == []
