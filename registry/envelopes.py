"""Facts as events in the shapes of Amazon EventBridge: values in, values out.

    fact → one event for each tag that it is about, or one without a tag → text, as it is sent and logged

AWS's own keys stand where AWS has them, with AWS's words: whoever reads events of Amazon ECR reads these. What AWS does
not tell stands under one key of `detail`, `longshore`, so that it can be taken for nothing else.

    push, tag moved           PUSH
    undelete                  PUSH, which `longshore` tells from a push: what was told to be gone is there again
    delete, tag taken away    DELETE
    a lifecycle policy's      DELETE, with the rule under `longshore`
    archived, restored        UPDATE_STORAGE_CLASS

An image that is attached to another (a signature, a bill of materials) is told as an `ECR Referrer Action`, with what
it is attached to under `longshore`.

Sources: Amazon ECR user guide, "Amazon ECR events and EventBridge"; Amazon EventBridge user guide, "AWS service event
metadata" (the fields of the envelope); the event schemas `aws.ecr@ECRImageAction` and `aws.ecr@ECRReferrerAction`.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args

from registry.events import (
    ImageDeleted,
    ImageExpired,
    ImageFact,
    ImagePushed,
    ImageStorageClassChanged,
    ImageUndeleted,
)
from registry.names import RegistryRef, RepositoryName

Type = Literal["push", "delete", "expire", "storage-class", "test"]
TYPES: Final[tuple[Type, ...]] = tuple(one for one in get_args(Type) if one != "test")  # that can be chosen
OWN: Final = "longshore"  # the key of `detail` under which stands what AWS does not tell


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """`id` is the event's for good: whoever gets it twice knows it by that. `body`: its JSON, on one line."""

    id: str
    type: Type
    repository: RepositoryName
    body: str


def of(fact: ImageFact, new_id: Callable[[], str]) -> list[Event]:
    """The events that tell of a fact, in the order of its tags."""
    kind, action, more, own = _told(fact)
    if fact.subject is not None:
        own = {**own, "subject-digest": fact.subject}
    detail_type = "ECR Image Action" if fact.subject is None else "ECR Referrer Action"
    found = []
    for tag in fact.tags or (None,):
        detail: dict[str, Any] = {
            "result": "SUCCESS",
            "repository-name": fact.repository,
            "image-digest": fact.digest,
            "action-type": action,
            **({} if tag is None else {"image-tag": tag}),
            "manifest-media-type": fact.media_type,
            **({} if fact.artifact_type is None else {"artifact-media-type": fact.artifact_type}),
            **more,
            **({OWN: own} if own else {}),
        }
        event_id = new_id()
        body = _envelope(event_id, detail_type, "aws.ecr", fact.registry, fact.at, detail)
        found.append(Event(id=event_id, type=kind, repository=fact.repository, body=body))
    return found


def trial(registry: RegistryRef, webhook: str, at: dt.datetime, event_id: str) -> Event:
    """An event that tells of nothing, to try whether it arrives."""
    body = _envelope(event_id, "Longshore Webhook Test", "longshore", registry, at, {"webhook": webhook})
    return Event(id=event_id, type="test", repository=RepositoryName("longshore/test"), body=body)


def _told(fact: ImageFact) -> tuple[Type, str, Mapping[str, object], Mapping[str, object]]:
    """The kind of event, AWS's word for it, what AWS tells of such an event beside, and what AWS does not tell."""
    match fact:
        case ImagePushed():
            return "push", "PUSH", {}, {}
        case ImageUndeleted():
            return "push", "PUSH", {}, {"undeleted": True}
        case ImageDeleted():
            return "delete", "DELETE", {}, {"image-deleted": fact.is_gone}
        case ImageExpired():
            rule = {"rule-priority": fact.rule_priority, "reason": fact.reason}
            return "expire", "DELETE", {}, {"image-deleted": True, "lifecycle": rule}
        case ImageStorageClassChanged():
            more: dict[str, object] = {"target-storage-class": fact.target}
            if fact.target == "STANDARD" and fact.activated_at is not None:
                more["last-activated-at"] = _time(fact.activated_at)
            own: dict[str, object] = {"by": fact.by} if fact.by else {}
            if fact.rule_priority is not None:
                own["lifecycle"] = {"rule-priority": fact.rule_priority}
            return "storage-class", "UPDATE_STORAGE_CLASS", more, own
    raise NotImplementedError(type(fact).__name__)  # a fact that nobody gave a shape


def _envelope(
    event_id: str,
    detail_type: str,
    source: str,
    registry: RegistryRef,
    at: dt.datetime,
    detail: Mapping[str, object],
) -> str:
    envelope = {
        "version": "0",
        "id": event_id,
        "detail-type": detail_type,
        "source": source,
        "account": registry.account,
        "time": _time(at),
        "region": registry.region,
        "resources": [],
        "detail": detail,
    }
    return json.dumps(envelope, separators=(",", ":"))


def _time(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
