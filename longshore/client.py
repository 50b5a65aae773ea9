"""A server's AWS API as a client: which server, by which key, and what its answers and failures mean to a person.

The environment is read as AWS's own tools read it (AWS_ENDPOINT_URL_ECR, AWS_PROFILE and the rest, by botocore), with
one difference: where it names no endpoint, there is no server. A command must never take its way to Amazon by mistake.
"""

import base64
import binascii
import contextlib
import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

_OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "read_timeout": 60,
    "retries": {"mode": "standard", "total_max_attempts": 2},
}
_AS_CONFIGURED_OR_AMAZON: Final[tuple[dict[str, Any], ...]] = ({}, {"ignore_configured_endpoint_urls": True})
_PAGE: Final = 1000  # the most that the operations give at once


class CallFailed(Exception):
    """A call that did not succeed, in one line. `code` is the server's, or empty where none answered."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What docker logs in with."""

    user: str
    password: str = dataclasses.field(repr=False)
    registry: str  # host, with port, by which the server calls the registry
    expires_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A server and a key to it."""

    endpoint: str
    region: str
    access_key_id: str
    secret: str = dataclasses.field(repr=False)
    session_token: str = dataclasses.field(default="", repr=False)
    ca: str = ""  # file with the authorities to trust; empty: as the environment says

    @property
    def host(self) -> str:
        return urlsplit(self.endpoint).netloc.lower()

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """One call of the ECR API: `describe_registry`. Raises CallFailed."""
        with _told(self.endpoint), contextlib.closing(self._client()) as client:
            answer: dict[str, Any] = getattr(client, operation)(**parameters)
            return answer

    def items(self, operation: str, key: str, **parameters: Any) -> Iterator[dict[str, Any]]:
        """What stands under `key` on all pages. Raises CallFailed."""
        with _told(self.endpoint), contextlib.closing(self._client()) as client:
            pages = client.get_paginator(operation).paginate(**parameters, PaginationConfig={"PageSize": _PAGE})
            for page in pages:
                yield from page[key]

    def login(self, account: str = "") -> Login:
        """A fresh docker login, at the registry of `account` or else of the key's own. Raises CallFailed."""
        asked = {"registryIds": [account]} if account else {}
        try:
            data = self.call("get_authorization_token", **asked)["authorizationData"][0]
            user, _, password = base64.b64decode(data["authorizationToken"]).decode("ascii").partition(":")
            registry = urlsplit(data["proxyEndpoint"]).netloc.lower()
            expires_at: dt.datetime = data["expiresAt"]
        except (KeyError, IndexError, binascii.Error, ValueError):
            raise CallFailed(f"{self.endpoint} gave no login that can be read: is it a registry?") from None
        return Login(user=user, password=password, registry=registry, expires_at=expires_at)

    def _client(self) -> Any:
        return botocore.session.Session().create_client(
            "ecr",
            endpoint_url=self.endpoint,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret,
            aws_session_token=self.session_token or None,
            verify=self.ca or None,
            config=Config(**_OPTIONS),
        )


def from_environment(region: str = "") -> Client | None:
    """The server that the environment or its AWS profile names, if it names one. Raises CallFailed.

    `region` is asked instead of the environment's, where it is given.
    """
    with _told(""):
        session = botocore.session.Session()
        region = region or session.get_config_variable("region") or "us-east-1"
        # An instance's own role is Amazon's, never ours, and asking for it takes seconds where there is none.
        session.get_component("credential_provider").remove("iam-role")
        endpoint, amazon = (
            session.create_client("ecr", region_name=region, config=Config(**options)).meta.endpoint_url.rstrip("/")
            for options in _AS_CONFIGURED_OR_AMAZON
        )
        if endpoint == amazon:
            return None
        credentials = session.get_credentials()
        if credentials is None:
            raise CallFailed(
                f"no access key for {endpoint}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            )
        frozen = credentials.get_frozen_credentials()
    return Client(
        endpoint=endpoint,
        region=region,
        access_key_id=frozen.access_key or "",
        secret=frozen.secret_key or "",
        session_token=frozen.token or "",
    )


@contextlib.contextmanager
def _told(endpoint: str) -> Iterator[None]:
    """botocore's failures as CallFailed."""
    try:
        yield
    except ClientError as error:
        raise _refusal(error, endpoint) from None
    except SSLError as error:
        raise CallFailed(
            f"no trusted TLS connection to {endpoint}: {_reason(error)}; AWS_CA_BUNDLE names the file of the authority "
            "to trust, the ca.crt of `longshore cert`"
        ) from None
    except (EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError, ConnectionClosedError, HTTPClientError):
        raise CallFailed(f"cannot reach {endpoint}: is `longshore serve` running there?") from None
    except BotoCoreError as error:
        where = f"{endpoint} does not answer as a registry: " if endpoint else "the AWS configuration cannot be used: "
        raise CallFailed(where + " ".join(str(error).split())[:300]) from None
    except ValueError as error:  # botocore's way of refusing an endpoint that is no URL
        raise CallFailed(f"the endpoint cannot be used: {' '.join(str(error).split())[:300]}") from None


def _refusal(error: ClientError, endpoint: str) -> CallFailed:
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))
    if not message or not code.endswith(("Exception", "Unavailable", "Failure", "Expired")):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", code)
        return CallFailed(f"{endpoint} answered {status} {message}".rstrip() + ": is it a registry?", code)
    return CallFailed(f"{message} ({code})", code)


def _reason(error: SSLError) -> str:
    """OpenSSL's words from among the many that are put around them."""
    text = str(error)
    start = text.rfind("certificate verify failed")
    return (text[start:] if start >= 0 else text).split(" (_ssl")[0].strip(" ')")[:200]
