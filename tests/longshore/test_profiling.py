"""`longshore serve --profile FILE`: the functions of every thread, once the server has stopped."""

import pstats
from pathlib import Path

import pytest

from tests.builders import push_blob, unique_bytes
from tests.conftest import Start


@pytest.mark.parametrize("workers", [1, 2])
def test_a_profile_tells_the_functions_of_every_thread(workers: int, tmp_path: Path, start_server: Start) -> None:
    server = start_server("--profile", str(tmp_path / "served"), "--workers", str(workers))
    server.create("app")
    push_blob(server, "app", unique_bytes(1000))
    there_before = list(tmp_path.glob("served*"))
    code = server.stop()
    files = sorted(tmp_path.glob("served*"))
    found = {place for file in files for place in pstats.Stats(str(file)).stats}  # type: ignore[attr-defined]
    named = {f"{Path(file).name}:{function}" for file, _, function in found}

    assert code == 0 and there_before == []
    assert len(files) == workers
    assert "routes.py:handle" in named, "the loop's thread"
    assert "engine.py:_commit" in named, "the thread that commits"
    assert "disk.py:_sync" in named, "a thread that writes"
