"""Page marks: good for the listing that gave them out, and for nothing else."""

import base64
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.auth.sealing import PURPOSES, Sealer
from registry.aws import paging
from registry.errors import InvalidParameter
from registry.names import AccountId, Region, RegistryRef

SEALER = Sealer({purpose: bytes([number]) * 32 for number, purpose in enumerate(PURPOSES)})
LISTING = paging.Listing(
    operation="ecr:ListImages",
    registry=RegistryRef(AccountId("111122223333"), Region("eu-west-1")),
    arguments={"repositoryName": "app", "filter": {"tagStatus": "TAGGED"}},
)


@given(st.one_of(st.text(max_size=300), st.lists(st.integers(-(2**60), 2**60) | st.text(max_size=20), max_size=3)))
def test_a_mark_gives_back_its_position(position):
    assert paging.position(SEALER, LISTING, paging.mark(SEALER, LISTING, position)) == position


@pytest.mark.parametrize("token", [None, ""])
def test_no_mark_is_the_start(token):
    assert paging.position(SEALER, LISTING, token) is None


OTHERS = {
    "operation": {"operation": "ecr:DescribeImages"},
    "account": {"registry": RegistryRef(AccountId("444455556666"), Region("eu-west-1"))},
    "region": {"registry": RegistryRef(AccountId("111122223333"), Region("us-east-1"))},
    "repository": {"arguments": {"repositoryName": "other", "filter": {"tagStatus": "TAGGED"}}},
    "filter": {"arguments": {"repositoryName": "app"}},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_mark_of_another_listing_is_refused(other):
    token = paging.mark(SEALER, LISTING, "last")

    with pytest.raises(InvalidParameter) as caught:
        paging.position(SEALER, dataclasses.replace(LISTING, **other), token)

    assert caught.value.field == "nextToken"


def test_the_order_of_arguments_does_not_matter():
    turned = dataclasses.replace(LISTING, arguments=dict(reversed(list(LISTING.arguments.items()))))

    assert paging.position(SEALER, turned, paging.mark(SEALER, LISTING, "last")) == "last"


def test_every_altered_byte_is_noticed():
    """T14."""
    token = paging.mark(SEALER, LISTING, "last")
    for place, letter in enumerate(token):
        altered = token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :]
        with pytest.raises(InvalidParameter):
            paging.position(SEALER, LISTING, altered)


@pytest.mark.parametrize("token", ["a", "é", "=" * 40, "A" * 100_000, base64.b64encode(b'["x","y"]').decode(), "\0"])
def test_other_text_is_no_mark(token):
    with pytest.raises(InvalidParameter):
        paging.position(SEALER, LISTING, token)


def test_a_mark_of_another_purpose_or_installation_is_refused():
    payload = b'["%s","last"]' % LISTING.fingerprint().encode()
    strange = Sealer({purpose: b"x" * 32 for purpose in PURPOSES})
    for token in (SEALER.seal("upload", payload), strange.seal("page", payload)):
        with pytest.raises(InvalidParameter):
            paging.position(SEALER, LISTING, token)
