"""The command line inside this process: for what a process of its own would only make slow."""

import os
from collections.abc import Callable

import pytest

from longshore.__main__ import main
from tests.cli import Finished

Cli = Callable[..., Finished]


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys) -> Cli:
    """A function that runs `longshore` with these arguments, in a directory and with an environment of its own."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("LONGSHORE_", "AWS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def run(*arguments: str, **environment: str) -> Finished:
        with monkeypatch.context() as inner, pytest.raises(SystemExit) as ended:
            for name, value in environment.items():
                inner.setenv(name, value)
            main(arguments)
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Finished(ended.value.code, out, err, 0)

    return run
