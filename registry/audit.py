"""The audit log: every change and every refusal, who did it and what came of it, in CloudTrail's field names.

A change's row is written in the transaction of the change itself, so there is neither one without the other: a request
that may change something is given its database as a `Witness`, which adds the row to the first unit that it commits.
What the house writes on its own account (a damaged blob is marked) goes by `housekeep` and is nobody's deed; where it
takes away what people put there, the room that does it writes an entry `of_the_house` in the same transaction. What the
operator changes by a command beside the server is told likewise, as the deed of `operator`.

A refusal changes nothing, and must not let who is refused fill the disk: the same refusal is written once a minute,
with the number of times that it came meanwhile. Who did not log in is counted, not written.

Source: AWS CloudTrail user guide, "CloudTrail record contents".
"""

import collections
import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any, Final

from registry.auth.principals import Kind as PrincipalKind
from registry.auth.principals import Principal
from registry.names import RegistryRef
from registry.records import audit_log as rows
from registry.records.audit_log import Decision, Entry
from registry.records.engine import Rows, T, Tx, Unit
from registry.through import Through

OPERATOR: Final = "operator"  # in the place of an ARN: who has a shell beside the data
_COMMAND_LINE: Final = "command line"
_VERSION: Final = "1.11"  # of CloudTrail's record
_LONGEST: Final = 512  # characters of a parameter; a manifest or layer is no part of the log
_LONGEST_SOURCE: Final = 64  # characters; a proxy may tell anything as the client's address
_REPEAT: Final = dt.timedelta(minutes=1)
_REMEMBERED: Final = 4096  # different refusals that are counted at a time


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one action, as it will be told."""

    at: dt.datetime
    principal: Principal
    action: str
    resource: str
    registry: RegistryRef
    source: str
    user_agent: str
    request_id: str
    parameters: Mapping[str, Any]

    def entry(self, decision: Decision, *, error: str = "", message: str = "", repeated: int = 0) -> Entry:
        """The row. `error` is the AWS code of a refusal, `repeated` how often it came unwritten before."""
        return Entry(
            id=0,
            at=self.at,
            account=self.registry.account,
            principal=self.principal.arn,
            action=self.action,
            resource=self.resource,
            decision=decision,
            source=self.source[:_LONGEST_SOURCE],
            request_id=self.request_id,
            event=self._event(error, message, repeated),
        )

    def _event(self, error: str, message: str, repeated: int) -> dict[str, Any]:
        service, _, name = self.action.partition(":")
        event: dict[str, Any] = {
            "eventVersion": _VERSION,
            "userIdentity": _identity(self.principal),
            "eventTime": _time(self.at),
            "eventSource": f"{service}.amazonaws.com",
            "eventName": name,
            "awsRegion": self.registry.region,
            "sourceIPAddress": self.source,
            "userAgent": self.user_agent,
            "requestParameters": _shortened(self.parameters),
            "requestID": self.request_id,
            "eventID": str(uuid.uuid4()),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "recipientAccountId": self.registry.account,
            "resources": [{"ARN": self.resource, "accountId": self._owner()}],
        }
        if error:
            event |= {"errorCode": error, "errorMessage": message}
        if repeated:
            event["additionalEventData"] = {"repeatedSinceLastRecord": repeated}
        return event

    def _owner(self) -> str:
        """The account that the resource belongs to."""
        parts = self.resource.split(":", 5)
        return parts[4] if len(parts) == 6 else self.registry.account


def recorded(unit: Unit[T], entry: Entry, *, keep: dt.timedelta) -> Unit[T]:
    """The unit, which puts this entry on record where it succeeds."""

    def with_entry(tx: Tx) -> T:
        outcome = unit(tx)
        rows.insert(tx, entry, keep=keep)
        return outcome

    return with_entry


def by_operator(
    registry: RegistryRef,
    action: str,
    *,
    at: dt.datetime,
    user: str,
    command: str,
    parameters: Mapping[str, Any],
    resource: str = "",
) -> Entry:
    """What the operator does by a command beside the server. `registry`: of the account that it is about. `resource`:
    the ARN of what it is done to, where that is not the account itself.

    `user`: their name on this machine. Such a deed is no call of AWS's: it is told as `longshore`'s own, in the same
    fields.
    """
    resource, request_id = resource or f"arn:aws:iam::{registry.account}:root", str(uuid.uuid4())
    return Entry(
        id=0,
        at=at,
        account=registry.account,
        principal=OPERATOR,
        action=f"longshore:{action}",
        resource=resource,
        decision="allowed",
        source=_COMMAND_LINE,
        request_id=request_id,
        event={
            "eventVersion": _VERSION,
            "userIdentity": {"type": "Operator", "userName": user},
            "eventTime": _time(at),
            "eventSource": "longshore",
            "eventName": action,
            "awsRegion": registry.region,
            "sourceIPAddress": _COMMAND_LINE,
            "userAgent": command,
            "requestParameters": _shortened(parameters),
            "requestID": request_id,
            "eventID": str(uuid.uuid4()),
            "readOnly": False,
            "eventType": "OperatorCommand",
            "recipientAccountId": registry.account,
            "resources": [{"ARN": resource, "accountId": registry.account}],
        },
    )


class Witness(Through):
    """The database as one call sees it: what it changes, it is on record for."""

    def __init__(self, db: Rows, call: Call | Entry, record: list[Entry], *, keep: dt.timedelta) -> None:
        """`call`, or how it is told; `record` gets the entry once something was changed."""
        super().__init__(db._db if isinstance(db, Witness) else db)  # a deed within a deed has an entry of its own
        self._call, self._record, self._keep = call, record, keep
        self._is_told = False

    async def write(self, unit: Unit[T]) -> T:
        if self._is_told:
            return await self._db.write(unit)
        entry = self._call if isinstance(self._call, Entry) else self._call.entry("allowed")
        outcome = await self._db.write(recorded(unit, entry, keep=self._keep))
        self._is_told = True
        self._record.append(entry)
        return outcome


class Refusals:
    """Writes refusals down, each once a minute."""

    def __init__(self, db: Rows, *, keep: dt.timedelta) -> None:
        self._db, self._keep = db, keep
        self._seen: collections.OrderedDict[tuple[str, str, str], tuple[dt.datetime, int]] = collections.OrderedDict()

    async def note(self, call: Call, *, error: str, message: str) -> Entry | None:
        """The entry, if one was written."""
        key = (call.principal.arn, call.action, call.resource)
        written, unwritten = self._seen.pop(key, (None, 0))
        if written is not None and call.at - written < _REPEAT:
            self._seen[key] = (written, unwritten + 1)
            return None
        entry = call.entry("denied", error=error, message=message, repeated=unwritten)
        self._seen[key] = (call.at, 0)
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        await self._db.housekeep(lambda tx: rows.insert(tx, entry, keep=self._keep))
        return entry


def of_the_house(
    actor: str,
    name: str,
    *,
    at: dt.datetime,
    resource: str,
    registry: RegistryRef,
    run: str,
    details: Mapping[str, Any],
) -> Entry:
    """The row of what the house does on its own account, which changes what people put there: `actor` is the part of
    it that does it, `name` the event's, `run` what the events of one occasion have in common."""
    event = {
        "eventVersion": _VERSION,
        "userIdentity": {"accountId": registry.account, "invokedBy": actor},
        "eventTime": _time(at),
        "eventSource": "ecr.amazonaws.com",
        "eventName": name,
        "awsRegion": registry.region,
        "sourceIPAddress": actor,
        "userAgent": actor,
        "requestParameters": None,
        "responseElements": None,
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "resources": [{"ARN": resource, "accountId": registry.account, "type": "AWS::ECR::Repository"}],
        "eventType": "AwsServiceEvent",
        "recipientAccountId": registry.account,
        "serviceEventDetails": details,
    }
    return Entry(
        id=0,
        at=at,
        account=registry.account,
        principal=actor,
        action=f"ecr:{name}",
        resource=resource,
        decision="allowed",
        source=actor,
        request_id=run,
        event=event,
    )


def _identity(principal: Principal) -> dict[str, Any]:
    identity: dict[str, Any] = {
        "type": _TYPES[principal.kind],
        "principalId": principal.id,
        "arn": principal.arn,
        "accountId": principal.account,
        "accessKeyId": principal.access_key,
        "userName": principal.name or None,
    }
    if principal.session is not None:
        identity["sessionContext"] = {
            "sessionIssuer": {"principalId": principal.entity_id, "arn": principal.entity_arn},
            "attributes": {"creationDate": _time(principal.session.issued_at)},
        }
    return {name: value for name, value in identity.items() if value is not None}


_TYPES: Final[Mapping[PrincipalKind, str]] = {
    "root": "Root",
    "user": "IAMUser",
    "role-session": "AssumedRole",
    "federated": "FederatedUser",
    "web-identity": "WebIdentityUser",
    "anonymous": "Unknown",
}


def _time(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _shortened(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters without what is binary or long."""
    return {
        name: value if len(str(value)) <= _LONGEST else f"{str(value)[:64]}... ({len(str(value))} characters)"
        for name, value in parameters.items()
        if not isinstance(value, bytes | bytearray)
    }
