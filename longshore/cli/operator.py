"""What the operator's commands have in common that change the data directory: each change is on record with itself."""

import dataclasses
import datetime as dt
import os
import pwd
from typing import TYPE_CHECKING

import click

from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.names import RegistryRef
    from registry.records.audit_log import Entry


def entry_of(registry: "RegistryRef", action: str, *, resource: str = "", **parameters: object) -> "Entry":
    """The record of what the running command does: `resource` is the ARN of what it is done to, else the account's."""
    from registry import audit

    return audit.by_operator(
        registry,
        action,
        at=dt.datetime.now(dt.UTC),
        user=user_name(),
        command=click.get_current_context().command_path,
        parameters=parameters,
        resource=resource,
    )


def on_record(config: Config, deps: "Deps", entry: "Entry") -> "Deps":
    """What rooms are given by a command whose change shall be told so."""
    from registry.audit import Witness
    from registry.model import Doer

    keep = dt.timedelta(days=config.audit.keep_days)
    doer = Doer(principal=entry.principal, request_id=entry.request_id)
    return dataclasses.replace(deps, db=Witness(deps.db, entry, [], keep=keep), doer=doer)


def user_name() -> str:
    """Who runs the command: the machine's own word, as variables say what one likes."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user may have no name
        return str(os.getuid())
