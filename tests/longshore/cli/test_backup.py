"""`longshore backup` beside a running server, `longshore restore`, and a server on what came back."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.builders import Built, image, index, push, unique_bytes, unique_name
from tests.commands import longshore
from tests.conftest import Start
from tests.servers import REGION, ROOT, RunningServer, clean_environment
from tests.waiting import until


class Pusher(threading.Thread):
    """Pushes images, indexes and uploads to a repository of its own until it is told to stop."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__(daemon=True)
        self.server, self.repository = server, unique_name()
        self.acknowledged: list[tuple[str, Built]] = []  # (tag, what it names), in order
        self.failure = ""
        self._stop_asked = threading.Event()
        server.create(self.repository)

    def run(self) -> None:
        number = 0
        try:
            while not self._stop_asked.is_set():
                number += 1
                # One layer that all pushers bring at once, so that spare bytes are deleted all the time.
                built = image(layers=[b"shared layer %d" % number, unique_bytes(3000)])
                push(self.server, self.repository, built, f"v{number}")
                self.acknowledged.append((f"v{number}", built))
                listed = index(built)
                push(self.server, self.repository, listed, f"i{number}")
                self.acknowledged.append((f"i{number}", listed))
                self.leave_upload(cancel=number % 2 == 0)
        except Exception as error:
            self.failure = repr(error)

    def leave_upload(self, *, cancel: bool) -> None:
        begun = self.server.request("POST", f"/v2/{self.repository}/blobs/uploads/")
        sent = self.server.request("PATCH", begun.headers["Location"], unique_bytes(500))
        assert sent.status == 202, sent.body
        if cancel:
            assert self.server.request("DELETE", sent.headers["Location"]).status == 204

    def finish(self) -> None:
        self._stop_asked.set()
        self.join(60)
        assert self.failure == ""


def assert_whole(server: RunningServer, repository: str, tag: str, built: Built | None) -> None:
    """The tag names this image, and every byte of it is there."""
    manifest = server.request("GET", f"/v2/{repository}/manifests/{tag}")
    assert manifest.status == 200, (tag, manifest.body)
    if built is not None:
        assert manifest.body == built.body
    document = manifest.json
    for child in document.get("manifests", []):
        assert_whole(server, repository, child["digest"], None)
    wanted = dict(zip([blob["digest"] for blob in [document.get("config"), *document.get("layers", [])] if blob],
                      built.blobs if built else (), strict=False))  # fmt: skip
    for blob in [document.get("config"), *document.get("layers", [])]:
        if blob is not None:
            found = server.request("GET", f"/v2/{repository}/blobs/{blob['digest']}")
            assert found.status == 200, (tag, blob, found.body)
            assert len(found.body) == blob["size"]
            assert wanted.get(blob["digest"], found.body) == found.body


def test_a_backup_beside_pushes_comes_back_whole(start_server: Start, tmp_path: Path) -> None:
    server = start_server("--workers", "2")
    pushers = [Pusher(server) for _ in range(4)]
    for pusher in pushers:
        pusher.start()
    until(lambda: all(len(pusher.acknowledged) >= 4 for pusher in pushers), what="some images")
    before = [(pusher.repository, list(pusher.acknowledged)) for pusher in pushers]
    first = longshore("backup", tmp_path / "backup", "--data", server.data, "--output", "json")
    second = longshore("backup", tmp_path / "backup", "--data", server.data, "--output", "json")
    for pusher in pushers:
        pusher.finish()
    server.stop()
    back = longshore("restore", tmp_path / "backup", "--data", tmp_path / "restored", "--output", "json")
    again = start_server(data=tmp_path / "restored")

    assert (first.code, first.err, first.json["complete"]) == (0, "", True)
    assert (second.code, second.err, second.json["complete"]) == (0, "", True)
    assert second.json["copied"] < second.json["blobs"]
    assert (back.code, back.err) == (0, "")
    assert back.json["check"]["sound"] and back.json["check"]["findings"] == []
    assert back.json["blobs"] == second.json["blobs"]
    for repository, acknowledged in before:
        for tag, built in acknowledged:
            assert_whole(again, repository, tag, built)
    for pusher in pushers:  # and whatever else came into the backup is whole too
        listed = again.request("GET", f"/v2/{pusher.repository}/tags/list").json["tags"]
        assert len(listed) >= 4
        for tag in listed:
            assert_whole(again, pusher.repository, tag, None)
    assert longshore("check", "--deep", "--data", again.data).code == 0


def test_a_second_backup_copies_only_new_blobs(start_server: Start, tmp_path: Path) -> None:
    server, name = start_server(), unique_name()
    server.create(name)
    old, new = image(layers=[unique_bytes(5000)]), image(layers=[unique_bytes(700)])
    push(server, name, old, "v1")
    first = longshore("backup", tmp_path / "backup", "--data", server.data, "--output", "json")
    push(server, name, new, "v2")
    second = longshore("backup", tmp_path / "backup", "--data", server.data, "--output", "json")
    table = longshore("backup", tmp_path / "backup", "--data", server.data)

    assert (first.json["blobs"], first.json["copied"]) == (2, 2)
    assert (second.json["blobs"], second.json["copied"]) == (4, 2)
    assert second.json["copiedBytes"] == sum(map(len, new.blobs))
    assert set(second.json) == {
        "destination",
        "createdAt",
        "complete",
        "blobs",
        "uploads",
        "bytes",
        "copied",
        "copiedBytes",
        "removed",
        "databaseBytes",
        "databaseCopies",
        "files",
        "lost",
        "lostBlobs",
        "seconds",
    }
    assert (table.code, table.err) == (0, "")
    assert "4 blobs, 0 open uploads" in table.out and "; 0 copied now (0 B), 0 old files removed, in" in table.out


def test_a_killed_backup_leaves_the_one_of_before(start_server: Start, tmp_path: Path) -> None:
    server, name = start_server(), unique_name()
    server.create(name)
    old, new = image(), image(layers=[b"the layer that the backup hangs on"])
    push(server, name, old, "v1")
    assert longshore("backup", tmp_path / "backup", "--data", server.data).code == 0
    push(server, name, new, "v2")
    [file] = [
        path
        for path in (server.data / "blobs" / REGION).glob("??/*")
        if path.read_bytes() == b"the layer that the backup hangs on"
    ]
    file.rename(tmp_path / "aside")
    os.mkfifo(file)  # whoever opens it to read waits
    hanging = subprocess.Popen(
        [sys.executable, "-m", "longshore", "backup", tmp_path / "backup", "--data", server.data],
        cwd=ROOT,
        env=clean_environment(),
    )
    until(lambda: (tmp_path / "backup" / "drafts" / file.name).exists(), what="the copy in the middle")
    hanging.send_signal(signal.SIGKILL)
    hanging.wait(30)
    file.unlink()
    (tmp_path / "aside").rename(file)
    back = longshore("restore", tmp_path / "backup", "--data", tmp_path / "restored")
    second = longshore("backup", tmp_path / "backup", "--data", server.data, "--output", "json")
    again = start_server(data=tmp_path / "restored")

    assert back.code == 0
    assert_whole(again, name, "v1", old)
    assert again.request("GET", f"/v2/{name}/manifests/v2").status == 404
    assert (second.code, second.json["blobs"]) == (0, 4)
    assert list((tmp_path / "backup" / "drafts").iterdir()) == []
    assert len(list((tmp_path / "backup" / "states").iterdir())) == 1


def test_the_keys_come_back(start_server: Start, tmp_path: Path) -> None:
    """A server that made its own root key and master key: both work on the restored data."""
    server = start_server(LONGSHORE_ROOT_ACCESS_KEY_ID="", LONGSHORE_ROOT_SECRET_ACCESS_KEY="")
    made = longshore("backup", tmp_path / "backup", "--data", server.data, "--output", "json")
    server.stop()
    assert longshore("restore", tmp_path / "backup", "--data", tmp_path / "restored").code == 0
    again = start_server(
        data=tmp_path / "restored", LONGSHORE_ROOT_ACCESS_KEY_ID="", LONGSHORE_ROOT_SECRET_ACCESS_KEY=""
    )
    created = longshore("repo", "create", "made-by-the-old-key", "--data", again.data)

    assert made.json["files"] == ["longshore.db", "master.key", "root-key.json"]
    assert created.code == 0, created.err


# --- what is told -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data`, whose server ended, and its `backup`."""
    folder = tmp_path_factory.mktemp("kept")
    server = RunningServer(folder / "data")
    server.start()
    server.create("app")
    push(server, "app", image(layers=[b"kept"]), "v1")
    server.stop()
    assert longshore("backup", folder / "backup", "--data", server.data).code == 0
    return folder


REFUSED = {
    "backup-of-nothing": (["backup", "{tmp}/b", "--data", "{tmp}/none"], 1, "name the server's data directory by"),
    "backup-into-the-data": (["backup", "{kept}/data/b", "--data", "{kept}/data"], 1, "choose another place"),
    "backup-into-a-file": (["backup", "{kept}/data/write.lock", "--data", "{kept}/data"], 2, "is a file; see"),
    "backup-to-nowhere": (["backup"], 2, "Missing argument 'DEST'; see"),
    "backup-below-a-file": (["backup", "{kept}/data/write.lock/b", "--data", "{kept}/data"], 1, "longshore: "),
    "restore-of-nothing": (["restore", "{tmp}", "--data", "{tmp}/new"], 1, "holds no finished backup"),
    "restore-of-no-directory": (["restore", "{tmp}/none", "--data", "{tmp}/new"], 2, "does not exist; see"),
    "restore-into-data": (["restore", "{kept}/backup", "--data", "{kept}/data"], 1, "move the directory away"),
    "restore-into-the-backup": (["restore", "{kept}/backup", "--data", "{kept}/backup/d"], 1, "choose another place"),
}


@pytest.mark.parametrize(("arguments", "code", "says"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_is_one_line_and_leaves_nothing(
    kept: Path, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    before = sorted(kept.rglob("*"))
    ran = longshore(*[argument.format(tmp=tmp_path, kept=kept) for argument in arguments])

    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("longshore: ") and says in ran.err
    assert ran.err.count("\n") == 1
    assert sorted(kept.rglob("*")) == before
    assert list(tmp_path.iterdir()) == []


def test_a_backup_of_damaged_data_exits_with_1_and_names_what_is_lost(start_server: Start, tmp_path: Path) -> None:
    server, name = start_server(), unique_name()
    server.create(name)
    built = image(layers=[b"lost layer"])
    push(server, name, built, "v1")
    for path in (server.data / "blobs" / REGION).glob("??/*"):
        if path.read_bytes() == b"lost layer":
            path.unlink()
    table = longshore("backup", tmp_path / "one", "--data", server.data)
    ran = longshore("backup", tmp_path / "two", "--data", server.data, "--output", "json")
    back = longshore("restore", tmp_path / "one", "--data", tmp_path / "restored", "--output", "json")

    assert table.code == 1
    assert f"{name}:v1" in table.out
    assert table.err == (
        "longshore: 1 blob could not be copied, since the data directory is damaged: see `longshore check`\n"
    )
    assert (ran.code, ran.err, ran.json["complete"], ran.json["lost"]) == (1, "", False, 1)
    [lost] = ran.json["lostBlobs"]
    assert (lost["why"], lost["imageCount"], lost["images"][0]["tags"]) == ("missing", 1, ["v1"])
    assert (back.code, back.json["damaged"], back.json["check"]["counts"]) == (1, 1, {"blob-missing": 1})


def test_a_damaged_backup_is_refused_in_one_line(kept: Path, tmp_path: Path) -> None:
    made = tmp_path / "backup"
    assert longshore("backup", made, "--data", kept / "data").code == 0
    [file] = [path for path in (made / "blobs").rglob("*") if path.is_file() and path.read_bytes() == b"kept"]
    file.write_bytes(b"KEPT")
    refused = longshore("restore", made, "--data", tmp_path / "new")
    partial = longshore("restore", made, "--data", tmp_path / "new", "--partial")

    assert (refused.code, refused.out) == (1, "")
    assert "so the backup is damaged: use another one, or restore all that is good of this one by --partial" in (
        refused.err
    )
    assert partial.code == 1
    assert "blob-missing" in partial.out and "app:v1" in partial.out


def test_a_master_key_from_elsewhere_is_told(start_server: Start, tmp_path: Path) -> None:
    server = start_server(LONGSHORE_SECRETS__MASTER_KEY="5f" * 32)
    made = longshore("backup", tmp_path / "backup", "--data", server.data)
    back = longshore("restore", tmp_path / "backup", "--data", tmp_path / "restored")

    for ran in (made, back):
        assert ran.code == 0
        assert "the master key is not in the backup" in ran.err


def test_no_server_starts_on_a_half_restored_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "restore-unfinished").touch()

    with pytest.raises(AssertionError, match="did not finish: delete the directory and restore again"):
        RunningServer(data).start()
    assert [path.name for path in data.iterdir()] == ["restore-unfinished"]
