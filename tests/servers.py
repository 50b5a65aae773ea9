"""A real server process on loopback, started as a user starts it."""

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

from tests import elsewhere
from tests.round_robin import RoundRobin

ROOT: Final = Path(__file__).resolve().parent.parent
KEY_ID: Final = "AKIATESTTESTTESTTEST"
SECRET: Final = "a-secret/of+this-test-run-only"
ACCOUNT, REGION = "000000000000", "us-east-1"
_READY: Final = "longshore ready on "
_START_SECONDS, _STOP_SECONDS = 30, 45


class Answer(NamedTuple):
    """An HTTP answer; header names in any case."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The first error's code."""
        return str(self.json["errors"][0]["code"])


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would reach a server or client by mistake."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LONGSHORE_", "AWS_"))}
    return {**kept, "AWS_EC2_METADATA_DISABLED": "true", **more}


class RunningServer:
    """`longshore serve` on a data directory. It may be stopped, killed and started again on the same port."""

    def __init__(self, data: Path, *arguments: str, **environment: str) -> None:
        """Where `elsewhere` says so, several of them that share one database, behind one relay; `pid` and `output` are
        the first's."""
        self.data, self.arguments = data, arguments
        self.environment = {
            "LONGSHORE_ROOT_ACCESS_KEY_ID": KEY_ID,
            "LONGSHORE_ROOT_SECRET_ACCESS_KEY": SECRET,
            **elsewhere.environment(data),
            **environment,
        }
        self._relay: RoundRobin | None = None
        self.others: list[RunningServer] = []
        if (servers := self._count()) > 1:
            self._relay = RoundRobin()
            self.environment.setdefault("LONGSHORE_REGISTRY__PUBLIC_URL", self._relay.url)
            for number in range(2, servers + 1):
                own = data if self._needs_its_directory else data.with_name(f"{data.name}-{number}")
                self.others.append(_Other(own, *arguments, **self.environment))
        self.url = ""
        self.output: list[str] = []  # lines of standard output and standard error
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._port = 0

    @property
    def netloc(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def command(self) -> list[str]:
        port = [] if "--port" in self.arguments else ["--port", str(self._port)]
        return [sys.executable, "-m", "longshore", "serve", "--data", str(self.data), *port, *self.arguments]

    def _count(self) -> int:
        return elsewhere.servers_of(self.data)

    @property
    def _needs_its_directory(self) -> bool:
        """Whether rows or bytes lie in the data directory, so that servers can only share it."""
        on_disk = self.environment.get("LONGSHORE_STORAGE__KIND", "disk") == "disk"
        return on_disk or "LONGSHORE_DATABASE__URL" not in self.environment

    def start(self) -> None:
        """Return when it says that it is ready. Raises AssertionError with its output where it ends instead."""
        self.start_alone()
        if self._relay is not None:
            self._relay.targets = [self._port]
            for other in self.others:
                other.environment = self.environment  # as a test may have changed it
                other.start()
                self._relay.targets.append(urlsplit(other.url).port or 0)
            self.url = self._relay.url

    def start_alone(self) -> None:
        """As `start`, and of several servers only this one; where it was started before, it has the same port."""
        ready, url = threading.Event(), self.url
        self.url = ""
        self._process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env=clean_environment(**self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process, ready), daemon=True)
        self._reader.start()
        ready.wait(_START_SECONDS)
        if not self.url or self._process.poll() is not None:
            self.kill()
            raise AssertionError("the server did not start:\n" + "\n".join(self.output[-20:]))
        self._port = urlsplit(self.url).port or 0
        if self._relay is not None and url:
            self.url = url

    def stop(self) -> int:
        """SIGTERM, and wait: the exit code."""
        for other in self.others:
            other.stop()
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        return self._ended()

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        for other in self.others:
            other.kill()
        self.kill_alone()

    def kill_alone(self) -> None:
        """As `kill`, and of several servers only this one."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._ended()

    def wait(self) -> int:
        """The exit code of a server that ends by itself."""
        assert self._process is not None
        self._process.wait(_STOP_SECONDS)
        return self._ended()

    def _ended(self) -> int:
        assert self._process is not None and self._reader is not None
        code = self._process.wait(_STOP_SECONDS)
        self._reader.join(5)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None
        return code

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # closed under the reader: the process is over
            for line in process.stdout:
                self.output.append(line.rstrip("\n"))
                if line.startswith(_READY):
                    self.url = line.removeprefix(_READY).strip()
                    ready.set()
        ready.set()

    # --- requests -----------------------------------------------------------------------------------------------------

    @property
    def basic(self) -> str:
        return basic(KEY_ID, SECRET)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        *,
        auth: str | None = "",
    ) -> Answer:
        """One request on a connection of its own. `auth`: an Authorization header; empty: the root key; None: none."""
        at = urlsplit(self.url)
        connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=60)
        given = self.basic if auth == "" else auth
        try:
            connection.request(method, path, body, {**({"Authorization": given} if given else {}), **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    @contextlib.contextmanager
    def client(self, service: str = "ecr", *, region: str = REGION, **options: Any) -> Iterator[Any]:
        """A boto3 client with the root key. It tries once and leaves judging the parameters to the server."""
        make: Any = boto3.client  # whose types want the name of a service, not a variable
        client = make(
            service,
            **{
                "endpoint_url": self.url,
                "region_name": region,
                "aws_access_key_id": KEY_ID,
                "aws_secret_access_key": SECRET,
                "config": Config(retries={"total_max_attempts": 1}, parameter_validation=False),
                **options,
            },
        )
        try:
            yield client
        finally:
            client.close()

    def create(self, name: str, **options: Any) -> dict[str, Any]:
        """A new repository, as the API describes it."""
        with self.client() as ecr:
            made: dict[str, Any] = ecr.create_repository(repositoryName=name, **options)["repository"]
            return made

    def client_environment(self, **more: str) -> dict[str, str]:
        """What `longshore env` exports, for clients that are programs."""
        return clean_environment(
            AWS_ENDPOINT_URL_ECR=self.url,
            AWS_ENDPOINT_URL_IAM=self.url,
            AWS_ENDPOINT_URL_STS=self.url,
            AWS_ACCESS_KEY_ID=KEY_ID,
            AWS_SECRET_ACCESS_KEY=SECRET,
            AWS_REGION=REGION,
            AWS_DEFAULT_REGION=REGION,
            **more,
        )


class _Other(RunningServer):
    """One of several."""

    def _count(self) -> int:
        return 1


def basic(user: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
