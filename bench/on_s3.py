"""Pushes and pulls of 100 MB where the bytes lie in a bucket: Longshore and distribution 3 on one S3 server.

The S3 server is versitygw over a local directory. It works for both in the same way and runs on any core, as in life it
would have a machine of its own; both registries pass the bytes through, neither redirects.
"""

import functools
import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import wire
from bench.loads import MB, Content, Load, Sample, fetch, push_all
from bench.report import Figures
from bench.servers import Distribution, Longshore, Server
from bench.wire import Refused

_KEY_ID: Final = "longshore-bench"
_SECRET: Final = "only-for-the-bench-and-thrown-away"
_REGION: Final = "us-east-1"
_START_SECONDS: Final = 20.0


def is_available() -> bool:
    """Whether the parts are there: versitygw, distribution 3, and Longshore's extra `s3`."""
    return all(map(shutil.which, ("versitygw", "registry"))) and importlib.util.find_spec("aiobotocore") is not None


class Gateway:
    """versitygw on loopback."""

    def __init__(self, directory: Path, port: int) -> None:
        self._files, self.url = directory / "objects", f"http://127.0.0.1:{port}"
        self._files.mkdir(parents=True)
        self._command = ["versitygw", "--port", f"127.0.0.1:{port}", "posix", str(self._files)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, buckets: Sequence[str]) -> None:
        """Return when it answers and has the buckets."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self._process = subprocess.Popen(
            self._command,
            env={**kept, "ROOT_ACCESS_KEY": _KEY_ID, "ROOT_SECRET_KEY": _SECRET},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        began = time.monotonic()
        while not self._has_made(buckets):
            if self._process.poll() is not None or time.monotonic() - began > _START_SECONDS:
                raise Refused("versitygw does not start")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()  # its own way to stop takes ten seconds
            self._process.wait()

    def _has_made(self, buckets: Sequence[str]) -> bool:
        import botocore.exceptions
        import botocore.session

        client: Any = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name=_REGION,
            aws_access_key_id=_KEY_ID,
            aws_secret_access_key=_SECRET,
        )
        try:
            for bucket in buckets:
                client.create_bucket(Bucket=bucket)
        except botocore.exceptions.EndpointConnectionError:
            return False
        finally:
            client.close()
        return True


class LongshoreOnS3(Longshore):
    gateway = ""

    def environment(self) -> Mapping[str, str]:
        settings = {
            "KIND": "s3",
            "ENDPOINT": self.gateway,
            "BUCKET": "longshore",
            "ACCESS_KEY_ID": _KEY_ID,
            "SECRET_ACCESS_KEY": _SECRET,
        }
        return {**super().environment(), **{f"LONGSHORE_STORAGE__{name}": value for name, value in settings.items()}}


class DistributionOnS3(Distribution):
    key, title, program = "distribution", "distribution 3", "registry"
    gateway = ""

    def storage(self) -> Mapping[str, object]:
        return {
            "s3": {
                "accesskey": _KEY_ID,
                "secretkey": _SECRET,
                "region": _REGION,
                "regionendpoint": self.gateway,
                "bucket": "distribution",
                "forcepathstyle": True,
                "secure": False,
            },
            "redirect": {"disable": True},
        }


def run(content: Content, directory: Path, rounds: int, port: int) -> list[Figures]:
    """Every load in turn on both."""
    gateway = Gateway(directory, port)
    LongshoreOnS3.gateway = DistributionOnS3.gateway = gateway.url
    servers: list[Server] = [LongshoreOnS3(directory / "longshore"), DistributionOnS3(directory / "distribution")]
    try:
        gateway.start([server.key for server in servers])
        pulled = content.blobs["100 MB"]
        for server in servers:
            server.start()
            server.keep("bench/pulls", pulled)
        return [_in_rounds(load, servers, rounds) for load in _loads(content)]
    finally:
        for server in servers:
            server.stop()
        gateway.stop()


def _loads(content: Content) -> list[Load]:
    def push(server: Server, *, way: Callable[[wire.Link, str, wire.Blob], None], chunked: bool) -> Sample:
        blobs = [wire.fresh(100 * MB, content.base, chunked=chunked) for _ in range(content.effort.big_pushes)]
        return push_all(server, blobs, 1, way)

    def pull(server: Server) -> Sample:
        return fetch(server, "bench/pulls", content.blobs["100 MB"], content.effort.big_pushes)

    names: dict[str, Callable[[Server], Sample]] = {
        "push 100 MB to S3, one PUT": functools.partial(push, way=wire.push, chunked=False),
        "push 100 MB to S3, chunked PATCH": functools.partial(push, way=wire.push_chunked, chunked=True),
        "pull 100 MB from S3": pull,
    }
    return [Load(group="s3", title=name, unit="MB/s", run=run, cost="s a GB") for name, run in names.items()]


def _in_rounds(load: Load, servers: Sequence[Server], rounds: int) -> Figures:
    samples: dict[str, list[Sample]] = {server.key: [] for server in servers}
    for number in range(rounds):
        for server in servers if number % 2 == 0 else reversed(servers):
            samples[server.key].append(load.run(server))
    return Figures(load=load, samples=samples)
