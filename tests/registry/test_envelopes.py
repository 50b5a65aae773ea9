"""Facts in EventBridge's shapes. Each case names the page that its shape is of."""

import datetime as dt
import itertools
import json
from typing import Any

import pytest

from registry import envelopes
from registry.events import (
    ImageDeleted,
    ImageExpired,
    ImageFact,
    ImagePushed,
    ImageStorageClassChanged,
    ImageUndeleted,
)
from registry.names import AccountId, Digest, Region, RegistryRef, RepositoryName, Tag
from registry.reactions import REACTIONS

ECR_PAGE = "https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html"
ENVELOPE_PAGE = "https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html"
DIGEST, SUBJECT = Digest("sha256:" + "7f" * 32), Digest("sha256:" + "5b" * 32)
MANIFEST, CONFIG = "application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"
ARCHIVED = dt.datetime(2025, 11, 20, 8, 0, tzinfo=dt.UTC)


def of(**more: Any) -> dict[str, Any]:
    """The fields of a fact."""
    return {
        "at": dt.datetime(2019, 11, 16, 1, 54, 34, 999_999, tzinfo=dt.UTC),
        "registry": RegistryRef(AccountId("123456789012"), Region("us-west-2")),
        "repository": RepositoryName("my-repository-name"),
        "digest": DIGEST,
        "tags": (Tag("latest"),),
        "media_type": MANIFEST,
        "artifact_type": CONFIG,
        "subject": None,
        **more,
    }


def detail(action: str, **more: Any) -> dict[str, Any]:
    """What all events of an image with one tag say; `-` is written `_` here."""
    return {
        "result": "SUCCESS",
        "repository-name": "my-repository-name",
        "image-digest": DIGEST,
        "action-type": action,
        "image-tag": "latest",
        "manifest-media-type": MANIFEST,
        "artifact-media-type": CONFIG,
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


CASES: dict[str, tuple[str, ImageFact, str, dict[str, Any]]] = {
    "push": (ECR_PAGE, ImagePushed(**of()), "push", detail("PUSH")),
    "undelete": (ECR_PAGE, ImageUndeleted(**of()), "push", detail("PUSH", longshore={"undeleted": True})),
    "delete": (
        ECR_PAGE,
        ImageDeleted(**of(), is_gone=True),
        "delete",
        detail("DELETE", longshore={"image-deleted": True}),
    ),
    "untag": (
        ECR_PAGE,
        ImageDeleted(**of(), is_gone=False),
        "delete",
        detail("DELETE", longshore={"image-deleted": False}),
    ),
    "expire": (
        "https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html",
        ImageExpired(**of(), rule_priority=7, reason="too old"),
        "expire",
        detail("DELETE", longshore={"image-deleted": True, "lifecycle": {"rule-priority": 7, "reason": "too old"}}),
    ),
    "archive": (
        ECR_PAGE,
        ImageStorageClassChanged(**of(), image_id=1, target="ARCHIVE", by="arn:aws:iam::123456789012:root"),
        "storage-class",
        detail(
            "UPDATE_STORAGE_CLASS",
            target_storage_class="ARCHIVE",
            longshore={"by": "arn:aws:iam::123456789012:root"},
        ),
    ),
    "archive-by-rule": (
        ECR_PAGE,
        ImageStorageClassChanged(**of(), image_id=1, target="ARCHIVE", by="lifecycle", rule_priority=2),
        "storage-class",
        detail(
            "UPDATE_STORAGE_CLASS",
            target_storage_class="ARCHIVE",
            longshore={"by": "lifecycle", "lifecycle": {"rule-priority": 2}},
        ),
    ),
    "restore": (
        ECR_PAGE,
        ImageStorageClassChanged(**of(), image_id=1, target="STANDARD", by="", activated_at=ARCHIVED),
        "storage-class",
        detail("UPDATE_STORAGE_CLASS", target_storage_class="STANDARD", last_activated_at="2025-11-20T08:00:00Z"),
    ),
}


def numbers():
    count = itertools.count(1)
    return lambda: f"id-{next(count)}"


@pytest.mark.parametrize(("page", "fact", "kind", "told"), CASES.values(), ids=CASES)
def test_a_fact_is_told_in_the_shape_of_its_page(page, fact, kind, told):
    [event] = envelopes.of(fact, numbers())

    assert page.startswith("https://docs.aws.amazon.com/")
    assert (event.id, event.type, event.repository) == ("id-1", kind, "my-repository-name")
    assert json.loads(event.body) == {
        "version": "0",
        "id": "id-1",
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": "123456789012",
        "time": "2019-11-16T01:54:34Z",
        "region": "us-west-2",
        "resources": [],
        "detail": told,
    }


def test_the_keys_of_the_envelope_stand_in_the_order_of_the_page():
    """ENVELOPE_PAGE; programs do not care, and people who read the log do."""
    [event] = envelopes.of(ImagePushed(**of()), numbers())

    keys = ["version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"]
    assert list(json.loads(event.body)) == keys


def test_each_tag_has_an_event_of_its_own_and_no_tag_has_one_too():
    several = envelopes.of(ImagePushed(**of(tags=(Tag("a"), Tag("b")))), numbers())
    untagged = envelopes.of(ImagePushed(**of(tags=())), numbers())

    assert [json.loads(event.body)["detail"]["image-tag"] for event in several] == ["a", "b"]
    assert [event.id for event in several] == ["id-1", "id-2"]
    assert ["image-tag" in json.loads(event.body)["detail"] for event in untagged] == [False]


def test_what_is_attached_to_an_image_is_told_as_a_referrer():
    """ECR_PAGE, and the event schema aws.ecr@ECRReferrerAction."""
    [event] = envelopes.of(ImagePushed(**of(tags=(), artifact_type=SIGNATURE, subject=SUBJECT)), numbers())
    told = json.loads(event.body)

    assert told["detail-type"] == "ECR Referrer Action"
    assert told["detail"]["artifact-media-type"] == SIGNATURE
    assert told["detail"]["longshore"] == {"subject-digest": SUBJECT}


def test_an_event_is_one_line_of_plain_characters():
    [event] = envelopes.of(ImageExpired(**of(), rule_priority=1, reason="line\nbreak \u2028 and \x1b"), numbers())

    assert event.body.isascii() and event.body.isprintable()


def test_every_fact_about_an_image_has_a_shape():
    """Facts of `CASES`; one that somebody adds without a shape is noticed here."""
    about_images = {kind for kind in REACTIONS if issubclass(kind, ImageFact)}

    assert about_images == {type(fact) for _, fact, _, _ in CASES.values()}
    assert {kind for _, _, kind, _ in CASES.values()} == set(envelopes.TYPES)
