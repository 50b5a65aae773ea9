"""`docker-credential-longshore`: docker's credential helper protocol, for hosts that are not Amazon's.

Docker starts it with one word and passes the rest by standard input:

    get      host -> {"ServerURL", "Username", "Secret"}: a token made now, by the key that is known for this host
    list     {host: user} of the hosts that it can answer for
    store    accepted for such a host (the login that `docker login` tried can be made again), refused for others
    erase    accepted: nothing was kept
    version  the version

The key comes from the environment or its AWS profile if that names an endpoint with this host, else from hosts.json.
A token is given out only to the very host that the key belongs to: with a helper for all hosts, docker asks for any
host that an image's name may hold. Errors are one line on standard output, and exit code 1, as the protocol wants.
Source: github.com/docker/docker-credential-helpers, README and `credentials/`.
"""

import json
import os
import re
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Final, NoReturn

from longshore import hosts_file

if TYPE_CHECKING:
    from longshore.client import Client, Login

# Docker knows this sentence, and goes on without a login.
_NOT_FOUND: Final = "credentials not found in native keychain"
_NO_HOST: Final = "no credentials server URL"
_USER: Final = "AWS"
_REGISTRY_HOST: Final = re.compile(r"([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]{1,40})\.(.+)")
_INPUT_MOST: Final = 64 * 1024


class _Refused(Exception):
    """The answer is an error: this line."""


def main() -> NoReturn:
    """Answer one request of docker."""
    verbs = {"get": _get, "store": _store, "erase": _erase, "list": _list, "version": _version}
    words = sys.argv[1:]
    try:
        if len(words) != 1 or words[0] not in verbs:
            raise _Refused(f"Usage: docker-credential-longshore <{'|'.join(verbs)}>")
        answer, code = verbs[words[0]](), 0
    except (_Refused, hosts_file.HostsTrouble) as error:
        answer, code = str(error), 1
    except Exception as error:  # a traceback would reach docker's user, with what is in it
        answer, code = f"docker-credential-longshore failed: {type(error).__name__}", 1
    if answer:
        print(answer)
    sys.exit(code)


def _get() -> str:
    from longshore.client import CallFailed

    asked = _input()
    host = _host(asked)
    try:
        login = _login(host)
    except CallFailed as error:
        raise _Refused(str(error)) from None
    if login is None:
        raise _Refused(_NOT_FOUND)
    return json.dumps({"ServerURL": asked, "Username": login.user, "Secret": login.password})


def _store() -> str:
    try:
        host = _host(str(json.loads(_input())["ServerURL"]))
    except (ValueError, KeyError, TypeError):
        raise _Refused(_NO_HOST) from None
    if host not in _known():
        raise _Refused(
            f"docker-credential-longshore keeps no passwords, and knows no key for {host}: use `longshore login "
            "--save-host`, or take it out of docker's configuration"
        )
    return ""


def _erase() -> str:
    _input()
    return ""


def _list() -> str:
    return json.dumps(dict.fromkeys(_known(), _USER))


def _version() -> str:
    return f"docker-credential-longshore {metadata.version('longshore')}"


def _input() -> str:
    text = sys.stdin.read(_INPUT_MOST).strip()
    if not text:
        raise _Refused(_NO_HOST)
    return text


def _host(url: str) -> str:
    """The host, with its port, of what docker gives: `localhost:5000`, or a URL."""
    host = url.partition("://")[2] if "://" in url else url
    return re.split(r"[/?#]", host, maxsplit=1)[0].rpartition("@")[2].lower()


def _known() -> list[str]:
    """Hosts that there is a key for, without asking any."""
    server = _environment()
    return list(dict.fromkeys([*([server.host] if server else []), *_saved()]))


def _login(host: str) -> "Login | None":
    """A login at the host; None where there is no key for it. Raises CallFailed, _Refused."""
    named = _REGISTRY_HOST.fullmatch(host)
    entry = _saved().get(host)
    try:
        server = _environment(region=named[2] if named else "")
    except _Refused:
        if entry is None:
            raise
        server = None
    if server is not None and server.host == host:
        return server.login()
    if server is not None and named is not None:
        # One server has many such names; whether this is one of them, the server itself says.
        login = server.login(account=named[1])
        if host in (login.registry, f"{host.removesuffix(named[3])}{server.host}"):
            return login
    return _of_entry(host, entry).login() if entry is not None else None


def _environment(region: str = "") -> "Client | None":
    from longshore.client import CallFailed, from_environment

    try:
        return from_environment(region=region)
    except CallFailed as error:
        raise _Refused(str(error)) from None


def _saved() -> dict[str, dict[str, str]]:
    return hosts_file.read(hosts_file.path(os.environ))


def _of_entry(host: str, entry: dict[str, str]) -> "Client":
    from longshore.client import Client

    try:
        return Client(
            endpoint=entry["endpoint"],
            region=entry["region"],
            access_key_id=entry["accessKeyId"],
            secret=entry["secretAccessKey"],
            ca=entry.get("ca", ""),
        )
    except KeyError as error:
        raise _Refused(f"hosts.json lacks {error} for {host}: use `longshore login --save-host`") from None
