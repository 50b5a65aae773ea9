"""The real parts that take part in a test run: which there are, and how many tests each one carried.

A test names the program that it needs with `@pytest.mark.real("dockerd")`. Where the program is missing the test is
skipped with that reason, and fails where `CI` is set: a run that proves less must not look like one that proves all.
"""

import collections
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bench import dockerd
from tests import pg_servers


def _found(program: str) -> Callable[[], bool]:
    return lambda: shutil.which(program) is not None


def _installed(program: str) -> Callable[[], bool]:
    """Beside this Python, where the locked requirements put it."""
    return (Path(sys.executable).parent / program).exists


def _named(variable: str) -> Callable[[], bool]:
    return lambda: bool(os.environ.get(variable))


@functools.cache
def _mounts() -> bool:
    """Whether this process may mount: root inside a container may not."""
    with tempfile.TemporaryDirectory() as directory:
        if subprocess.run(["mount", "-t", "tmpfs", "none", directory], capture_output=True).returncode:
            return False
        subprocess.run(["umount", directory], check=True)
        return True


def _has_loop_devices() -> bool:
    """Whether a file can be mounted as a disk: the kernel's part, which a container's may not have."""
    if os.geteuid() or shutil.which("mkfs.ext4") is None or not Path("/dev/loop-control").exists():
        return False
    return subprocess.run(["losetup", "--find"], capture_output=True).returncode == 0


def terraform_plugins() -> Path | None:
    """The folder with Terraform's AWS provider, which LONGSHORE_TEST_TF_PLUGINS names."""
    named = os.environ.get("LONGSHORE_TEST_TF_PLUGINS", "")
    return Path(named) if named and Path(named).is_dir() else None


# name -> whether this machine has it
PARTS: Final[Mapping[str, Callable[[], bool]]] = {
    "awscli": _installed("aws"),
    "boto3": lambda: True,
    "dockerd": dockerd.is_available,
    "containerd": lambda: dockerd.is_available() and _found("ctr")(),
    "skopeo": _found("skopeo"),
    "buildah": _found("buildah"),
    "crane": _found("crane"),
    "regctl": _found("regctl"),
    "oras": _found("oras"),
    "helm": _found("helm"),
    "cosign": _found("cosign"),
    "terraform": lambda: _found("terraform")() and terraform_plugins() is not None,
    "tmpfs": lambda: os.geteuid() == 0 and _mounts(),
    "loop-device": _has_loop_devices,
    "strace": _found("strace"),
    "nginx": _found("nginx"),
    "caddy": _found("caddy"),
    "systemd-analyze": _found("systemd-analyze"),
    "oci-conformance": _named("LONGSHORE_TEST_OCI_CONFORMANCE"),
    "versitygw": _found("versitygw"),
    "postgresql": lambda: pg_servers.programs() is not None,
    "minio": _named("LONGSHORE_TEST_MINIO"),
}
# Parts that CI cannot be asked for: in no package registry, part of the machine, too long to build, or a second program
# of a kind that is there (Caddy beside nginx).
OPTIONAL: Final = frozenset(
    {"caddy", "cosign", "helm", "loop-device", "systemd-analyze", "terraform", "oci-conformance", "minio"}
)

passed: Final[collections.Counter[str]] = collections.Counter()


def missing(part: str) -> str | None:
    """Why a test of this part cannot run here; None where it can."""
    return None if PARTS[part]() else f"{part} is not on this machine"


def must_be_there(part: str) -> bool:
    """Whether its absence is a failure."""
    return bool(os.environ.get("CI")) and part not in OPTIONAL


def summary() -> list[str]:
    """One line for each part: how many passed tests it took part in."""
    width = max(map(len, PARTS))
    return [
        f"{part:<{width}}  {passed[part] or '-':>5}{'' if missing(part) is None else '  not on this machine'}"
        for part in PARTS
    ]
