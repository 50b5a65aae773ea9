"""The examples of docs/access-control.md, run as they stand, with docker and the AWS CLI."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.engines import Docker
from tests.oidc import Issuer, Key
from tests.servers import ROOT, RunningServer

PAGE = (ROOT / "docs" / "access-control.md").read_text(encoding="utf-8")
EXAMPLES = {
    section.partition("\n")[0]: "\n".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)
    if section[:1].isdigit()
}
_REFUSED = re.compile(r"^(.*)   # refused$", re.MULTILINE)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def issuer(authority: trustme.CA) -> Iterator[Issuer]:
    made = Issuer(authority, [Key("k1")])
    yield made
    made.stop()


@pytest.fixture
def server(tmp_path: Path, authority: trustme.CA) -> Iterator[RunningServer]:
    """A server whose data directory is where a user's would be."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    server = RunningServer(
        tmp_path / "longshore-data",
        LONGSHORE_EGRESS__ALLOW="127.0.0.1",
        LONGSHORE_EGRESS__CA=str(tmp_path / "ca.pem"),
    )
    for name in ("LONGSHORE_ROOT_ACCESS_KEY_ID", "LONGSHORE_ROOT_SECRET_ACCESS_KEY"):
        del server.environment[name]  # the key is made at the start, and `longshore env` finds it
    server.start()
    yield server
    server.stop()


def test_there_are_five_examples() -> None:
    assert [title.partition(".")[0] for title in EXAMPLES] == ["1", "2", "3", "4", "5"]
    assert all("# refused" in script for script in EXAMPLES.values())


@pytest.mark.real("dockerd")
@pytest.mark.real("awscli")
@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_does_what_it_says(
    title: str, tmp_path: Path, server: RunningServer, docker: Docker, issuer: Issuer
) -> None:
    docker.new_image("busybox", layers=1)
    (tmp_path / "token").write_text(issuer.token())
    script = _REFUSED.sub(r"if \1; then echo 'not refused: \1' >&2; exit 99; fi", EXAMPLES[title])
    done = subprocess.run(
        ["bash", "-c", f'set -euo pipefail; eval "$(longshore env --data {server.data})"\n{script}'],
        cwd=tmp_path,
        env={
            **server.client_environment(
                DOCKER_CONFIG=str(docker.config), DOCKER_HOST=docker.engine.host, ISSUER=issuer.url
            ),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
