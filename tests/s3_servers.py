"""Real S3 servers on loopback: versitygw, and MinIO where LONGSHORE_TEST_MINIO names its program."""

import dataclasses
import functools
import itertools
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from registry.options import Place
from tests.servers import clean_environment, free_port
from tests.waiting import until

KEY_ID, SECRET = "longshore-tests", "a-secret-of-this-test-run"

# What a fixture of these servers is parametrized by: each as a part that is counted.
KINDS: Final = [
    pytest.param("versitygw", marks=pytest.mark.real("versitygw")),
    *([pytest.param("minio", marks=pytest.mark.real("minio"))] if os.environ.get("LONGSHORE_TEST_MINIO") else []),
]
_numbers = itertools.count()


class S3Service:
    """One S3 server process on a directory of its own."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind, self.directory = kind, directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it answers."""
        listen = f"127.0.0.1:{self.port}"
        if self.kind == "minio":
            command = [os.environ["LONGSHORE_TEST_MINIO"], "server", "--address", listen, str(self.directory)]
            environment = {"MINIO_ROOT_USER": KEY_ID, "MINIO_ROOT_PASSWORD": SECRET}
        else:
            command = ["versitygw", "--port", listen, "--health", "/health", "posix", str(self.directory)]
            environment = {"ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": SECRET}
        self.directory.mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            command, env=clean_environment(**environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers, what=f"an answer of {self.kind}")

    def stop(self) -> None:
        self.client.close()
        if self._process is not None:
            self._process.kill()  # its own way to stop takes ten seconds, and nothing of it is kept
            self._process.wait()
            self._process = None

    @functools.cached_property
    def client(self) -> Any:
        """A boto3 client of the server: making one costs more than a call."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY_ID,
            aws_secret_access_key=SECRET,
            config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
        )

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, f"{self.kind} ended"
        path = "/minio/health/live" if self.kind == "minio" else "/health"
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@dataclasses.dataclass(frozen=True)
class TestBucket:
    """A bucket of a test's own."""

    __test__ = False

    service: S3Service
    name: str

    @property
    def client(self) -> Any:
        return self.service.client

    def place(self, **more: Any) -> Place:
        """Where the bytes lie, as the registry's settings say it."""
        return Place(
            **{
                "kind": "s3",
                "endpoint": self.service.url,
                "bucket": self.name,
                "access_key_id": KEY_ID,
                "secret_access_key": SECRET,
                **more,
            }
        )

    def environment(self, **more: str) -> dict[str, str]:
        """The same for a server's environment; `more` are keys of [storage]."""
        settings = {
            "kind": "s3",
            "endpoint": self.service.url,
            "bucket": self.name,
            "access_key_id": KEY_ID,
            "secret_access_key": SECRET,
            **more,
        }
        return {f"LONGSHORE_STORAGE__{key.upper()}": value for key, value in settings.items()}

    def all_keys(self, prefix: str = "") -> list[str]:
        """Keys of all objects that begin so."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]

    def uploads(self) -> list[str]:
        """Keys of all unfinished multipart uploads."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", ())]

    def body(self, key: str) -> bytes:
        found: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return found

    def rewrite(self, key: str, body: bytes) -> None:
        """Put an object there in one part, so that its tag is another even where the bytes are the same."""
        at = {"Bucket": self.name, "Key": key}
        upload = self.client.create_multipart_upload(**at)["UploadId"]
        part = self.client.upload_part(**at, UploadId=upload, PartNumber=1, Body=body)
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        self.client.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": parts})


def new_bucket(service: S3Service) -> TestBucket:
    name = f"bucket-{os.getpid()}-{next(_numbers)}"
    service.client.create_bucket(Bucket=name)
    return TestBucket(service, name)
