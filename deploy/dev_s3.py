"""A real S3 server to develop with, without containers: `make dev-s3` runs this until Ctrl-C.

It is versitygw, from PATH or installed by Go into the directory that is named, on loopback, with a key of its own and a
bucket. What it prints points `longshore serve` at it, or at a MinIO server of one's own. The secret is in a file (0600)
and is never printed.
"""

import argparse
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final, NoReturn

VERSION: Final = "v1.8.0"
KEY_ID, BUCKET = "longshore", "longshore"
_LEAST_GO: Final = (1, 24)
_START_SECONDS: Final = 20


def main() -> None:
    parser = argparse.ArgumentParser(description="Run an S3 server on loopback until Ctrl-C.")
    parser.add_argument("--directory", type=Path, default=Path(".dev-s3"), help="of its objects, key and program")
    parser.add_argument("--port", type=int, default=9000, help="on 127.0.0.1; 0 takes a free one")
    given = parser.parse_args()
    directory: Path = given.directory.absolute()
    (directory / "objects").mkdir(parents=True, exist_ok=True)
    program, secret = _program(directory), _secret(directory / "secret-access-key")
    port = given.port or _free_port()
    server = _start(program, directory, secret.read_text(encoding="ascii"), port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell has its background jobs ignore
    try:
        _wait(server, port)
        _make_bucket(port, secret)
        print(_told(port, secret), flush=True)
        sys.exit(f"dev-s3: the server ended by itself, with {server.wait()}")
    except KeyboardInterrupt:
        print("dev-s3: ended; what was stored is kept until `make clean`", flush=True)
    finally:
        server.kill()  # its own way to stop takes ten seconds
        server.wait()


def settings(port: int, secret: Path) -> dict[str, str]:
    """What points a server at it."""
    return {
        "LONGSHORE_STORAGE__KIND": "s3",
        "LONGSHORE_STORAGE__ENDPOINT": f"http://127.0.0.1:{port}",
        "LONGSHORE_STORAGE__BUCKET": BUCKET,
        "LONGSHORE_STORAGE__ACCESS_KEY_ID": KEY_ID,
        "LONGSHORE_STORAGE__SECRET_ACCESS_KEY_FILE": str(secret),
    }


def _told(port: int, secret: Path) -> str:
    lines = [
        f"dev-s3: an S3 server on 127.0.0.1:{port}, with the bucket {BUCKET}; Ctrl-C ends it. In another terminal:",
        "",
        *(f"export {name}={value}" for name, value in settings(port, secret).items()),
        "make serve EXTRAS=s3",
        "",
        "For a MinIO of your own, change these:",
        "",
        "#   export LONGSHORE_STORAGE__ENDPOINT=http://127.0.0.1:9000",
        "#   export LONGSHORE_STORAGE__BUCKET=longshore        # `longshore storage make-buckets` makes it",
        "#   export LONGSHORE_STORAGE__ACCESS_KEY_ID=...       # MINIO_ROOT_USER, or a key that you made",
        "#   export LONGSHORE_STORAGE__SECRET_ACCESS_KEY_FILE=...",
        "",
    ]
    return "\n".join(lines)


def _program(directory: Path) -> str:
    """versitygw, which Go installs where it is not there yet."""
    own = directory / "bin" / "versitygw"
    found = shutil.which("versitygw") or (str(own) if own.exists() else None)
    if found is not None:
        return found
    if _go_version() < _LEAST_GO:
        _fail(
            f"there is no versitygw, and no Go {'.'.join(map(str, _LEAST_GO))} to make it: install either, or use a "
            "MinIO of your own (docs/servers.md)"
        )
    package = f"github.com/versity/versitygw/cmd/versitygw@{VERSION}"
    print(f"dev-s3: go install {package}", flush=True)
    environment = {**os.environ, "GOBIN": str(own.parent)}
    if subprocess.run(["go", "install", package], env=environment, check=False).returncode:
        _fail("Go could not install versitygw; what it says stands above")
    return str(own)


def _go_version() -> tuple[int, ...]:
    if shutil.which("go") is None:
        return (0,)
    told = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"go(\d+)\.(\d+)", told)
    return (int(found[1]), int(found[2])) if found else (0,)


def _secret(file: Path) -> Path:
    """The file of the secret key, which is made once."""
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as made:
            made.write(secrets.token_hex(20))
    return file


def _start(program: str, directory: Path, secret: str, port: int) -> "subprocess.Popen[bytes]":
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            _fail(f'another program listens on 127.0.0.1:{port}: make dev-s3 ARGS="--port 9001"')
    command = [program, "--quiet", "--port", f"127.0.0.1:{port}", "--health", "/health", "posix", "objects"]
    environment = {**os.environ, "ROOT_ACCESS_KEY": KEY_ID, "ROOT_SECRET_KEY": secret}
    with open(directory / "log", "wb") as log:
        # In a session of its own: Ctrl-C is for this program, which then ends it.
        return subprocess.Popen(
            command, cwd=directory, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _wait(server: "subprocess.Popen[bytes]", port: int) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    _fail("the S3 server did not start: see the file `log` in its directory")


def _make_bucket(port: int, secret: Path) -> None:
    command = [str(Path(sys.executable).with_name("longshore")), "storage", "make-buckets"]
    done = subprocess.run(
        command, env={**os.environ, **settings(port, secret)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        _fail(f"the bucket could not be made: {done.stderr.strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _fail(why: str) -> NoReturn:
    sys.exit(f"dev-s3: {why}")


if __name__ == "__main__":
    main()
