"""Keys of the installation, and the root key that a start brings, on data that earlier versions made."""

import pytest
import sqlalchemy as sa

from longshore import config as configuration
from longshore import wiring
from registry.auth.sealing import PURPOSES
from registry.names import AccountId
from registry.records import access_keys, installation
from registry.records.tables.installation import installation_keys
from tests.iam import Keys, caller, client, refused
from tests.servers import KEY_ID, SECRET

ENVIRONMENT = {"LONGSHORE_ROOT_ACCESS_KEY_ID": KEY_ID, "LONGSHORE_ROOT_SECRET_ACCESS_KEY": SECRET}


@pytest.fixture
def config(tmp_path):
    loaded = configuration.load(data=tmp_path / "data", file=None, env={}, flags={})
    wiring.prepare(loaded, ENVIRONMENT, "http://localhost")
    return loaded


def without(config, purpose: str) -> dict[str, bytes]:
    """Data of a version that did not know the purpose; the keys that it had."""
    with wiring.opened_rows(config) as db:
        statement = sa.delete(installation_keys).where(installation_keys.c.purpose == purpose)
        db.write_here(lambda tx: tx.execute(statement))
        return db.read_here(installation.installation_secrets)


def test_a_purpose_that_is_new_gets_its_key_and_the_others_keep_theirs(config):
    before = without(config, "session")
    wiring.prepare(config, ENVIRONMENT, "http://localhost")
    with wiring.opened_rows(config) as db:
        after = db.read_here(installation.installation_secrets)

    assert set(before) == set(PURPOSES) - {"session"}
    assert set(after) == set(PURPOSES)
    assert {purpose: after[purpose] for purpose in before} == before


def test_a_wrong_master_key_wraps_nothing(config, tmp_path):
    before = without(config, "session")
    (tmp_path / "data" / "master.key").write_text("00" * 32)
    with pytest.raises(wiring.CannotStart, match="not the one that this data was made with"):
        wiring.prepare(config, ENVIRONMENT, "http://localhost")
    with wiring.opened_rows(config) as db:
        assert db.read_here(installation.installation_secrets) == before


def test_a_start_that_brings_the_same_key_writes_nothing(config):
    with wiring.opened_rows(config) as db:
        before = db.read_here(lambda tx: access_keys.find(tx, KEY_ID))
    wiring.prepare(config, ENVIRONMENT, "http://localhost")
    with wiring.opened_rows(config) as db:
        assert db.read_here(lambda tx: access_keys.find(tx, KEY_ID)) == before
        assert db.read_here(lambda tx: access_keys.of_owner(tx, AccountId("000000000000"))) == [before]


def test_a_key_that_root_made_stays_when_the_start_brings_another(start_server):
    server = start_server()
    with server.client("iam") as iam:
        made = Keys.of(iam.create_access_key()["AccessKey"])
        user = iam.create_user(UserName="ann")["User"]
        ann = Keys.of(iam.create_access_key(UserName="ann")["AccessKey"])
    server.stop()
    server.environment["LONGSHORE_ROOT_ACCESS_KEY_ID"] = "ANOTHERKEYOFTHEOPERATOR"
    server.start()

    assert caller(server, made)["Arn"].endswith(":root")
    assert caller(server, ann)["UserId"] == user["UserId"]
    with client(server, "sts", Keys(KEY_ID, SECRET)) as sts:
        assert refused(sts.get_caller_identity).code == "InvalidClientTokenId"


def test_a_root_key_that_was_switched_off_stays_off_over_a_start(start_server):
    server = start_server()
    with server.client("iam") as iam:
        other = Keys.of(iam.create_access_key()["AccessKey"])
    with client(server, "iam", other) as iam:
        iam.update_access_key(AccessKeyId=KEY_ID, Status="Inactive")
    server.stop()
    server.start()
    with server.client("sts") as sts:
        assert refused(sts.get_caller_identity).code == "InvalidClientTokenId"
    assert caller(server, other)["Arn"].endswith(":root")
