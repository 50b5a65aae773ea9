"""What the doctor says of the scanner that is installed."""

from pathlib import Path

import pytest

from longshore.doctor import outside

SAID = {
    "another": ("Version: 0.70.1", "ok", "trivy 0.70.1"),
    "harmful": ("Version: 0.69.5", "trouble", "malicious code"),
    "says-nothing": ("", "warning", "does not tell its version"),
}


@pytest.mark.parametrize(("said", "state", "words"), SAID.values(), ids=list(SAID))
def test_the_scanners_version_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, state: str, words: str
) -> None:
    program = tmp_path / "trivy"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = outside.scanner()

    assert (found.look, found.state) == ("scanner", state)
    assert words in found.found
    assert bool(found.to_do) == (state != "ok")


def test_no_scanner_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert outside.scanner().state == "ok"
