"""Temporary credentials without a server: what is in them, when they end, and what a clock does to them."""

import datetime as dt
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.auth import principals, sessions, sigv4, tokens
from registry.auth.authenticator import Authenticator
from registry.auth.sealing import PURPOSES, Sealer
from registry.auth.sessions import Session
from registry.auth.stamped import Stamped
from registry.entities import AccessKey, Identity, Trust, new_id
from registry.errors import NotAuthenticated
from registry.names import AccountId
from registry.records import access_keys, accounts, identities, schema, stamps
from registry.records.engine import Database

ACCOUNT = AccountId("111122223333")
NOW = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
SEALER = Sealer({purpose: bytes([number]) * 32 for number, purpose in enumerate(PURPOSES)})
ROLE = Identity(
    id=new_id("role"), account=ACCOUNT, kind="role", name="ci", path="/", created_at=NOW, trust=Trust(document="{}")
)
USER = Identity(id=new_id("user"), account=ACCOUNT, kind="user", name="ann", path="/team/", created_at=NOW)
KEY = AccessKey(
    id="AKIAAAAAAAAAAAAAAAAA",
    account=ACCOUNT,
    owner_id=USER.id,
    sealed_secret=SEALER.seal_bytes("secret", b"s" * 40),
    active=True,
    created_at=NOW,
)


def session(**more) -> Session:
    start = int(NOW.timestamp())
    common = {"kind": "role", "account": str(ACCOUNT), "entity": ROLE.id, "iat": start, "exp": start + 3600}
    return Session(**{**common, "key": KEY.id, "name": "s1", **more})


@pytest.fixture
def db(tmp_path):
    opened = Database(tmp_path / "longshore.db")
    opened.write_here(schema.upgrade)

    def fill(tx):
        accounts.insert(tx, ACCOUNT, NOW)
        for one in (ROLE, USER):
            identities.insert(tx, one)
        access_keys.insert(tx, KEY)

    opened.write_here(stamps.changing(fill))
    yield opened
    opened.close()


@pytest.fixture
def authenticator(db):
    return Authenticator(db, SEALER, Stamped(db))


def signed(credentials: sessions.Credentials, at: dt.datetime, **more) -> tuple[sigv4.Claim, sigv4.SignedRequest]:
    """A signed request, with what the claim says replaced by `more`."""
    headers = (("host", "h"), ("x-amz-date", f"{at:%Y%m%dT%H%M%SZ}"), ("x-amz-security-token", credentials.token))
    request = sigv4.SignedRequest(
        method="POST", raw_path="/", raw_query="", headers=headers, body_sha256=hashlib.sha256(b"").hexdigest()
    )
    claim = sigv4.Claim(
        **{
            "access_key_id": credentials.access_key_id,
            "date": f"{at:%Y%m%d}",
            "region": "us-east-1",
            "service": "sts",
            "signed_headers": ("host", "x-amz-date", "x-amz-security-token"),
            "signature": "",
            "timestamp": at,
            "security_token": credentials.token,
            **more,
        }
    )
    made = sigv4.signature(claim, request, credentials.secret)
    return sigv4.Claim(**{name: getattr(claim, name) for name in claim.__slots__} | {"signature": made}), request


@given(st.integers(0, 10**12 - 1))
def test_the_account_is_in_the_key_id(number):
    account = AccountId(f"{number:012}")
    made = sessions.issue(SEALER, session(account=str(account)))

    assert sessions.account_of(made.access_key_id) == account


@given(st.text(max_size=30))
def test_other_text_is_no_key_id(text):
    found = sessions.account_of(f"ASIA{text}")

    assert found is None or len(text) == 16


def test_facts_come_back_as_they_were_sealed():
    facts = session(policies=("{}",), managed=("ANPA1",), tags={"a": "b"}, transitive=("a",), claims={"x:sub": "y"})
    made = sessions.issue(SEALER, facts)
    opened = sessions.open_token(SEALER, made.token)

    assert opened is not None and opened.session == facts
    assert (opened.access_key_id, opened.secret) == (made.access_key_id, made.secret)
    assert sessions.unpack(sessions.pack(facts)) == facts


@pytest.mark.parametrize("purpose", [purpose for purpose in PURPOSES if purpose != "session"])
def test_a_token_of_another_purpose_is_no_session(purpose):
    made = sessions.issue(SEALER, session())
    payload = SEALER.open("session", made.token)

    assert sessions.open_token(SEALER, SEALER.seal(purpose, payload)) is None
    assert sessions.open_token(SEALER, SEALER.seal("session", b"x" * 80)) is None
    assert sessions.open_token(SEALER, SEALER.seal("session", b"")) is None


async def test_a_session_signs_until_its_last_second(authenticator):
    made = sessions.issue(SEALER, session())
    last = NOW + HOUR - dt.timedelta(seconds=1)
    principal = await authenticator.signed(*signed(made, last), now=last)

    assert (principal.kind, principal.entity_id, principal.access_key) == ("role-session", ROLE.id, KEY.id)
    assert principal.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/s1"
    assert principal.until == NOW + HOUR
    with pytest.raises(NotAuthenticated) as caught:
        await authenticator.signed(*signed(made, NOW + HOUR), now=NOW + HOUR)
    assert caught.value.code == "ExpiredTokenException"


async def test_that_a_session_is_over_is_told_to_its_holder_only(authenticator):
    made, later = sessions.issue(SEALER, session()), NOW + 2 * HOUR
    claim, request = signed(made._replace(secret="x" * 40), later)
    with pytest.raises(NotAuthenticated) as caught:
        await authenticator.signed(claim, request, now=later)

    assert caught.value.code == "InvalidSignatureException"


@pytest.mark.parametrize("kind", ["user", "root", "federated"])
async def test_only_roles_sessions_call_operations_of_iam(authenticator, kind):
    facts = session(kind=kind, entity=str(ACCOUNT) if kind == "root" else USER.id)
    claim, request = signed(sessions.issue(SEALER, facts), NOW, service="iam")
    with pytest.raises(NotAuthenticated) as caught:
        await authenticator.signed(claim, request, now=NOW)
    role_claim, role_request = signed(sessions.issue(SEALER, session()), NOW, service="iam")

    assert caught.value.message == sigv4.UNKNOWN
    assert (await authenticator.signed(role_claim, role_request, now=NOW)).kind == "role-session"


async def test_a_login_of_a_session_ends_with_it(authenticator):
    principal = principals.role_session(ROLE, session())
    login = tokens.issue(SEALER, "login", principal, now=NOW, seconds=43200)
    bearer = tokens.issue(SEALER, "bearer", principal, now=NOW + dt.timedelta(minutes=50), seconds=900)
    last = NOW + HOUR - dt.timedelta(seconds=1)

    assert tokens.expiry(principal, now=NOW, seconds=43200) == NOW + HOUR
    assert tokens.expiry(principal, now=NOW, seconds=60) == NOW + dt.timedelta(minutes=1)
    assert (await authenticator.password("AWS", login, last)).entity_id == ROLE.id
    assert (await authenticator.header(f"Bearer {bearer}", last)).session == session()
    with pytest.raises(NotAuthenticated):
        await authenticator.password("AWS", login, NOW + HOUR)
    with pytest.raises(NotAuthenticated):
        await authenticator.header(f"Bearer {bearer}", NOW + HOUR)


async def test_a_login_of_an_earlier_version_still_speaks_for_the_root_user(db, authenticator):
    """It named the root user by ARN, and knew no sessions."""
    root = AccessKey(
        id="AKIAROOT",
        account=ACCOUNT,
        owner_id=ACCOUNT,
        sealed_secret=KEY.sealed_secret,
        active=True,
        created_at=NOW,
    )
    db.write_here(stamps.changing(lambda tx: access_keys.insert(tx, root)))
    start = int(NOW.timestamp())
    old = {"aud": "login", "sub": f"arn:aws:iam::{ACCOUNT}:root", "key": "AKIAROOT", "iat": start, "exp": start + 60}
    login = SEALER.seal("login", json.dumps(old).encode())
    other = SEALER.seal("login", json.dumps({**old, "key": KEY.id}).encode())

    assert (await authenticator.password("AWS", login, NOW)).kind == "root"
    with pytest.raises(NotAuthenticated):
        await authenticator.password("AWS", other, NOW)


async def test_using_a_key_writes_once_in_a_quarter_of_an_hour(db, authenticator):
    def last():
        return db.read_here(lambda tx: access_keys.find(tx, KEY.id)).last_used_at

    async def use(at):
        await authenticator.password(KEY.id, "s" * 40, at)
        await db.write(lambda tx: None)  # what was noted before is written by now

    await use(NOW)
    first = last()
    await use(NOW + dt.timedelta(minutes=14))
    second = last()
    await use(NOW + dt.timedelta(minutes=16))

    assert first == second == NOW
    assert last() == NOW + dt.timedelta(minutes=16)
    assert db.read_here(stamps.policy) == 2  # and no cache of rights is dropped for it
