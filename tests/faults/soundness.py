"""Whether a data directory is whole: what its database says, what `longshore check` says, and what the tags say."""

import subprocess
import sys
from pathlib import Path

from tests import elsewhere
from tests.damage import database
from tests.servers import ROOT, RunningServer, clean_environment


def assert_sound(data: Path) -> None:
    """No page, key, row or byte is wrong. The server may be running."""
    settings = elsewhere.environment(data)
    with database(data) as rows:
        if "LONGSHORE_DATABASE__URL" not in settings:
            assert [tuple(row) for row in rows.execute("PRAGMA integrity_check")] == [("ok",)]
            assert rows.execute("PRAGMA foreign_key_check").fetchall() == []
        assert tuple(rows.execute("SELECT count(*) FROM blobs WHERE damaged").fetchone()) == (0,)
    checked = subprocess.run(
        [sys.executable, "-m", "longshore", "check", "--deep", "--data", str(data)],
        cwd=ROOT, env=clean_environment(**settings), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def assert_tags_readable(server: RunningServer) -> None:
    """Every repository's every tag, on the first page of a thousand."""
    for name in server.request("GET", "/v2/_catalog?n=1000").json["repositories"]:
        for tag in server.request("GET", f"/v2/{name}/tags/list?n=1000").json["tags"]:
            assert server.request("HEAD", f"/v2/{name}/manifests/{tag}").status == 200, (name, tag)
