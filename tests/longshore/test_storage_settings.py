"""Where the bytes lie, as the operator says it: for all regions, or for one."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from longshore import config as configuration
from longshore import reference, stores, wiring
from longshore.config import PER_REGION, ConfigError, env_name
from registry.names import Region
from registry.options import Place, Storage
from tests.places import database_of
from tests.servers import ROOT, clean_environment

S3: dict[str, Any] = {
    "kind": "s3",
    "endpoint": "http://minio.example.com:9000",
    "public_endpoint": "https://minio.example.com",
    "bucket": "longshore",
    "prefix": "of/this-registry",
    "region": "eu-central-1",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": "5ec2e7-of-the-bucket",
    "addressing": "virtual",
    "redirect": True,
    "sse": "aws:kms",
    "sse_kms_key": "arn:aws:kms:eu-central-1:111122223333:key/1",
    "checksums": "crc32",
    "storage_class": "STANDARD_IA",
}


def toml(table: str, values: dict[str, object]) -> str:
    return f"[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def environment(values: dict[str, object]) -> dict[str, str]:
    return {
        env_name(f"storage.{key}"): str(value).lower() if value is True else str(value) for key, value in values.items()
    }


def load(directory: Path, text: str = "", **given: object) -> Storage:
    file = directory / "longshore.toml"
    file.write_text(text)
    return configuration.load(data=None, file=file, env=environment(given), flags={}).storage


def values_of(place: object) -> dict[str, object]:
    return {key: getattr(place, key) for key in PER_REGION}


# --- where they come from ---------------------------------------------------------------------------------------------


def test_every_setting_of_a_bucket_is_tried():
    assert set(S3) == set(PER_REGION)


def test_they_come_from_the_file_and_from_the_environment(tmp_path):
    assert values_of(load(tmp_path, toml("storage", S3))) == S3
    assert values_of(load(tmp_path, "", **S3)) == S3
    assert values_of(load(tmp_path, toml("storage", {**S3, "bucket": "another"}), bucket="longshore")) == S3


def test_the_secret_comes_from_a_file_of_its_own(tmp_path):
    (tmp_path / "secret").write_text("5ec2e7-in-a-file\n")
    env = {**environment(S3), "LONGSHORE_STORAGE__SECRET_ACCESS_KEY_FILE": str(tmp_path / "secret")}
    del env["LONGSHORE_STORAGE__SECRET_ACCESS_KEY"]

    assert configuration.load(data=None, file=None, env=env, flags={}).storage.secret_access_key == "5ec2e7-in-a-file"


def test_a_regions_table_says_what_differs(tmp_path):
    text = toml("storage", S3) + toml("storage.regions.ap-south-1", {"bucket": "south", "redirect": False})

    found = load(tmp_path, text, prefix="everywhere")

    assert values_of(found.of("ap-south-1")) == {**S3, "bucket": "south", "redirect": False, "prefix": "everywhere"}
    assert values_of(found.of("us-east-1")) == {**S3, "prefix": "everywhere"}


def test_one_region_may_lie_in_a_bucket_and_the_others_on_disk(tmp_path):
    found = load(tmp_path, toml("storage.regions.ap-south-1", S3))

    assert (found.of("ap-south-1").kind, found.of("us-east-1").kind, found.kind) == ("s3", "disk", "disk")


def test_where_bytes_lay_before_has_nothing_of_where_they_lie_now(tmp_path):
    found = load(tmp_path, toml("storage", S3) + toml("storage.previous", {"kind": "disk"}))

    assert found.previous == Place() and found.archive is None
    assert found.of("ap-south-1").previous == Place()
    assert load(tmp_path, toml("storage.previous", S3)).previous == Place(**S3)


def test_a_region_that_stays_where_all_lay_before_lies_nowhere_else(tmp_path):
    text = toml("storage", S3) + toml("storage.previous", {"kind": "disk"})
    found = load(tmp_path, text + toml("storage.regions.ap-south-1", {"kind": "disk"}))

    assert found.of("ap-south-1").previous is None and found.of("eu-west-1").previous == Place()


def test_the_archive_is_as_where_all_else_lies_but_for_what_is_said(tmp_path):
    plain = load(tmp_path, toml("storage", S3))
    assert plain.archive_place == Place(**{**S3, "prefix": "of/this-registry/archive/"})
    text = (
        toml("storage", S3)
        + toml("storage.archive", {"storage_class": "GLACIER_IR"})
        + toml("storage.regions.ap-south-1", {"bucket": "south"})
        + toml("storage.regions.ap-south-1.archive", {"prefix": "cold/"})
    )
    found = load(tmp_path, text)
    assert found.archive == Place(**{**S3, "prefix": "of/this-registry/archive/", "storage_class": "GLACIER_IR"})

    south = {**S3, "bucket": "south", "prefix": "cold/", "storage_class": "GLACIER_IR"}
    assert found.of("ap-south-1").archive == Place(**south)


def test_tables_below_come_from_the_environment_too(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("5ec2e7-of-before\n")
    given = {
        "LONGSHORE_STORAGE__PREVIOUS__KIND": "s3",
        "LONGSHORE_STORAGE__PREVIOUS__BUCKET": "before",
        "LONGSHORE_STORAGE__PREVIOUS__ACCESS_KEY_ID": "AKIDEXAMPLE",
        "LONGSHORE_STORAGE__PREVIOUS__SECRET_ACCESS_KEY_FILE": str(secret),
        "LONGSHORE_STORAGE__ARCHIVE__PREFIX": "cold",
    }
    found = configuration.load(data=None, file=None, env=given, flags={})

    assert found.storage.previous == Place(
        kind="s3", bucket="before", access_key_id="AKIDEXAMPLE", secret_access_key="5ec2e7-of-before"
    )
    assert found.storage.archive == Place(prefix="cold") and found.warnings == ()


def test_tables_below_are_shown_as_they_hold_and_can_be_read_again(tmp_path):
    text = toml("storage", {**S3, "access_key_id": "", "secret_access_key": ""})
    text += toml("storage.previous", {"kind": "disk"}) + toml("storage.regions.ap-south-1.archive", {"prefix": "cold"})
    found = load(tmp_path, text)
    file = tmp_path / "longshore.toml"
    shown = reference.as_toml(reference.shown(configuration.load(data=None, file=file, env={}, flags={})))

    assert load(tmp_path, shown) == found


def test_a_secret_is_never_shown(tmp_path):
    text = toml("storage", S3) + toml("storage.regions.ap-south-1", {"secret_access_key": "5ec2e7-of-the-south"})
    file = tmp_path / "longshore.toml"
    file.write_text(text)
    tree = reference.shown(configuration.load(data=None, file=file, env={}, flags={}))
    shown = reference.as_toml(tree)

    assert "5ec2e7" not in shown + json.dumps(tree)
    assert shown.count('secret_access_key = "(hidden)"') == 2
    file.write_text(shown.replace("(hidden)", "again").replace('master_key = "again"', ""))
    assert configuration.load(data=None, file=file, env={}, flags={}).storage.of("ap-south-1").bucket == "longshore"


# --- what cannot be used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[storage]\nkind = 's4'", 'storage.kind: "s4" is not one of disk, s3 (file longshore.toml)'),
        (
            "[storage]\nkind = 's3'",
            "storage.bucket: is missing: storage.kind is s3, and bytes go into a bucket (file longshore.toml)",
        ),
        ("[storage]\naccess_key_id = 'a'", "storage.secret_access_key: is missing: the id and the secret"),
        ("[storage]\nsecret_access_key = '5ec2e7'", "storage.access_key_id: is missing: the id and the secret"),
        ("[storage]\nsse_kms_key = 'k'", "storage.sse_kms_key: is used with storage.sse = aws:kms alone (default)"),
        ("[storage]\nsse = 'rot13'", 'storage.sse: "rot13" is not one of "", AES256, aws:kms'),
        ("[storage]\nendpoint = 'minio:9000'", 'storage.endpoint: "minio:9000": must be http:// or https://'),
        ("[storage]\npublic_endpoint = 'http://a/b'", "storage.public_endpoint"),
        ("[storage]\nbucket = 'No'", 'storage.bucket: "No": must be a bucket\'s name'),
        ("[storage]\nprefix = '/a'", 'storage.prefix: "/a": must be made of letters'),
        ("[storage]\nprefix = 'a//b'", "storage.prefix"),
        ("[storage]\nprefix = 'a/../b'", "must not hold the parts . and .."),
        ("[storage]\nregion = 'a b'", "storage.region"),
        ("[storage]\naccess_key_id = 'a b'", "must be an access key's id, without spaces"),
        (
            "[storage]\nregions = 1",
            "storage.regions: holds a table for each region, written [storage.regions.eu-west-1]",
        ),
        ("[storage.regions]\nbucket = 'b'", "storage.regions: holds a table for each region"),
        ("[storage.regions.Mars]\nbucket = 'bbb'", 'storage.regions: "Mars": a region looks like us-east-1'),
        (
            "[storage.regions.eu-west-1]\nbuckett = 'b'",
            "storage.regions.eu-west-1.buckett: there is no such setting; did you mean bucket? (file longshore.toml)",
        ),
        ("[storage.regions.eu-west-1]\nmin_chunk = 1", "storage.regions.eu-west-1.min_chunk: there is no such setting"),
        (
            "[storage.regions.eu-west-1]\nbucket = 'No'",
            "must be a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens "
            "(file longshore.toml, table [storage.regions.eu-west-1])",
        ),
        (
            "[storage.regions.eu-west-1]\nkind = 's3'",
            "storage.bucket: is missing: storage.kind is s3, and bytes go into a bucket "
            "(table [storage.regions.eu-west-1])",
        ),
        ("[storage]\nprevious = 1", "storage.previous: is a table, so it is written [storage.previous]"),
        ("[storage.previous]\nknd = 's3'", "storage.previous.knd: there is no such setting; did you mean kind?"),
        ("[storage.previous]\nverify_reads = 'never'", "storage.previous.verify_reads: there is no such setting"),
        ("[storage.previous]\nkind = 's4'", 'storage.previous.kind: "s4" is not one of disk, s3'),
        ("[storage.previous]\nkind = 's3'", "storage.previous.bucket: is missing: storage.previous.kind is s3"),
        ("[storage.previous]\nbucket = 'No'", 'storage.previous.bucket: "No": must be a bucket\'s name'),
        ("[storage.previous]\nkind = 'disk'", "storage.previous: is the same place as storage"),
        (
            "[storage]\nkind = 's3'\nbucket = 'bbb'\n[storage.archive]\nprefix = ''",
            "storage.archive: is the same place as storage: give it another prefix or bucket",
        ),
        (
            "[storage.regions.eu-west-1.archive]\nprefix = '/a'",
            "(file longshore.toml, table [storage.regions.eu-west-1",
        ),
        ("[storage]\nstorage_class = 'GLACIER'", "its bytes cannot be read at once; GLACIER_IR's can"),
        ("[storage]\nstorage_class = 'a b'", "storage.storage_class"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, text, says):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value) and "5ec2e7" not in str(caught.value)


def test_without_the_extra_it_says_how_to_install_it(tmp_path, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiobotocore" else real(name))
    config = configuration.load(data=tmp_path / "data", file=None, env=environment(S3), flags={})

    with pytest.raises(wiring.CannotStart, match=r"pip install 'longshore\[s3\]'; in a checkout, make serve EXTRAS=s3"):
        wiring.prepare(config, {}, "http://localhost:5000")


def test_on_disk_nothing_of_s3_is_loaded():
    """It would cost every start a third of a second, and 30 MB."""
    script = (
        "import sys, longshore.server, longshore.cli.serve\n"
        "assert not {'aiobotocore', 'registry.storage.s3'} & set(sys.modules), 'loaded'"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=clean_environment(), capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_bytes_that_moved_to_another_kind_of_store_are_not_taken_for_lost(tmp_path):
    """Rows that speak of a directory do not make a new store in a bucket."""
    data = tmp_path / "data"
    disk = configuration.load(data=data, file=None, env={}, flags={})
    wiring.prepare(disk, {}, "http://localhost:5000")
    bucket = configuration.load(data=data, file=None, env=environment(S3), flags={})
    deps = wiring.build(bucket, "http://localhost:5000")
    try:
        known = stores.open_store(disk, database_of(deps), Region("us-east-1"))
        found = stores.open_store(bucket, database_of(deps), Region("us-east-1"))
    finally:
        database_of(deps).close()

    assert found.store_id == known.store_id
