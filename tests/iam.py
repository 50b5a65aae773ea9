"""IAM and STS as tests call them: clients for any credentials, refusals as values, policies in one line."""

import contextlib
import datetime as dt
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from longshore import config as configuration
from longshore import wiring
from registry import accounts
from registry.names import AccountId
from tests.servers import ROOT, RunningServer, clean_environment


class Refused(NamedTuple):
    """How a call was refused."""

    code: str
    status: int
    message: str


def refused(call: Callable[..., Any], **parameters: Any) -> Refused:
    """The refusal of a call that must not succeed."""
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    told = caught.value.response
    return Refused(told["Error"]["Code"], told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Message"])


class Keys(NamedTuple):
    """Credentials, long-lived or temporary."""

    access_key_id: str
    secret: str
    token: str | None = None

    @classmethod
    def of(cls, made: Mapping[str, Any]) -> "Keys":
        """From what CreateAccessKey, or an operation of STS, hands out."""
        return cls(made["AccessKeyId"], made["SecretAccessKey"], made.get("SessionToken"))


@contextlib.contextmanager
def client(server: RunningServer, service: str, keys: Keys | None = None, **options: Any) -> Iterator[Any]:
    """A boto3 client of these credentials; without any, the root user's."""
    if keys is not None:
        options |= {
            "aws_access_key_id": keys.access_key_id,
            "aws_secret_access_key": keys.secret,
            "aws_session_token": keys.token,
        }
    with server.client(service, **options) as made:
        yield made


def caller(server: RunningServer, keys: Keys | None = None, **options: Any) -> dict[str, str]:
    """Who the server says that these credentials are: UserId, Account, Arn."""
    with client(server, "sts", keys, **options) as sts:
        found = sts.get_caller_identity()
    return {name: found[name] for name in ("UserId", "Account", "Arn")}


def make_user(server: RunningServer, name: str, keys: Keys | None = None) -> tuple[dict[str, Any], Keys]:
    """A user with an access key, made by `keys`."""
    with client(server, "iam", keys) as iam:
        user = iam.create_user(UserName=name)["User"]
        return user, Keys.of(iam.create_access_key(UserName=name)["AccessKey"])


def policy(*statements: Mapping[str, Any], **statement: Any) -> str:
    """A policy of these statements; without any, of one that allows what the keywords say."""
    listed = list(statements) or [{"Effect": "Allow", **statement}]
    return json.dumps({"Version": "2012-10-17", "Statement": listed})


def trusts(*principals: str, action: str | list[str] = "sts:AssumeRole", **more: Any) -> str:
    """A trust policy for these ARNs."""
    who = list(principals) if len(principals) != 1 else principals[0]
    return policy(Principal={"AWS": who}, Action=action, **more)


def admin(server: RunningServer, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """`longshore admin ...` beside a running server; `text` goes to its standard input."""
    command = [sys.executable, "-m", "longshore", "admin", *arguments, "--data", str(server.data)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=clean_environment(**server.environment),
        capture_output=True,
        text=True,
        check=False,
        input=text,
    )


_numbers = itertools.count(1)


def make_account(server: RunningServer) -> tuple[str, Keys]:
    """An account that no other test uses, and its root user's key: made beside the server, as the command does it."""
    account = AccountId(f"{os.getpid():07}{next(_numbers):05}")
    config = configuration.load(data=server.data, file=None, env=server.environment, flags={})
    with wiring.opened_rows(config) as db:
        sealer = wiring.sealer_of(config, db)
        made = db.write_here(lambda tx: accounts.create(tx, account, sealer, dt.datetime.now(dt.UTC)))
    return account, Keys(made.key.id, made.secret)
