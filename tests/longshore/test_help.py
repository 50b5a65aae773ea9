"""`longshore --help` and its like: quick, and told by nothing heavy."""

import subprocess
import sys

import pytest

from longshore.__main__ import COMMANDS
from tests.cli import BIN, longshore, run
from tests.servers import clean_environment

HEAVY = {
    "aiohttp",
    "sqlalchemy",
    "botocore",
    "boto3",
    "alembic",
    "cryptography",
    "structlog",
    "rich",
    "prometheus_client",
}


def imported(*arguments: str) -> set[str]:
    """The top-level modules that a call imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "longshore", *arguments],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    names = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["frobnicate"]], ids=lambda value: value[0])
def test_help_imports_nothing_heavy(arguments):
    found = imported(*arguments)

    assert "click" in found
    assert not found & HEAVY


@pytest.mark.parametrize("command", ["serve", "env", "repo", "image", "cert", "login", "api"])
def test_the_help_of_a_command_imports_nothing_heavy(command):
    assert not imported(command, "--help") & HEAVY


def test_settings_are_shown_without_what_serves(tmp_path):
    assert not imported("config", "show", "--data", str(tmp_path)) & {"aiohttp", "sqlalchemy", "botocore", "boto3"}


def test_help_lists_every_command(tmp_path):
    done = longshore("--help", cwd=tmp_path)

    assert (done.code, done.err) == (0, "")
    for name, entry in COMMANDS.items():
        assert f"  {name}" in done.out and entry.line in done.out


def test_the_module_is_the_command(tmp_path):
    by_module = run(sys.executable, "-m", "longshore", "--version", cwd=tmp_path, PYTHONPATH=str(BIN.parent.parent))
    by_name = longshore("--version", cwd=tmp_path)

    assert by_module.out == by_name.out
    assert by_name.out.startswith("longshore, version ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "longshore: a command is missing; see `longshore --help`"),
        (["srve"], "longshore: No such command 'srve', did you mean serve?; see `longshore --help`"),
        (["frobnicate"], "longshore: No such command 'frobnicate'; see `longshore --help`"),
        (["--frob"], "longshore: No such option '--frob'; see `longshore --help`"),
        (["repo"], "longshore: a command is missing; see `longshore repo --help`"),
    ],
    ids=["nothing", "misspelt", "unknown", "option", "group"],
)
def test_a_wrong_call_is_one_line_and_code_2(cli, arguments, line):
    done = cli(*arguments)

    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [line]


def test_a_reader_that_hangs_up_ends_the_command_quietly(tmp_path):
    done = run("/bin/sh", "-c", "longshore config reference | true; echo done", cwd=tmp_path)

    assert (done.code, done.out, done.err) == (0, "done\n", "")
