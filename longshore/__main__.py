"""`python -m longshore` and the `longshore` command: the table of commands, and how a failure is told.

A command's module is imported when it is called, and what it needs inside it, so that `--help` stays quick. Whatever
goes wrong is one line on standard error, `longshore: ...`, and the exit code: 2 where the command or the configuration
is wrong, 1 for all else. Standard output holds nothing but the answer.
"""

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NamedTuple, NoReturn

import click


class _Entry(NamedTuple):
    """Where a command is found, and its line in `longshore --help`: the first of its own help."""

    target: str
    line: str


COMMANDS: Final = {
    "serve": _Entry("longshore.cli.serve:serve", "Run the registry."),
    "work": _Entry("longshore.cli.work:work", "Work on jobs, and serve nothing."),
    "jobs": _Entry("longshore.cli.jobs:jobs", "List jobs, try them again, cancel them."),
    "env": _Entry("longshore.cli.env:env", "Print the variables that point AWS's tools at a server."),
    "login": _Entry("longshore.cli.login:login", "Log docker in."),
    "repo": _Entry("longshore.cli.repo:repo", "Create, list, protect and delete repositories."),
    "image": _Entry("longshore.cli.image:image", "List images, and who uses them."),
    "lifecycle": _Entry(
        "longshore.cli.lifecycle:lifecycle", "Carry out lifecycle policies now, or say what they would do."
    ),
    "usage": _Entry("longshore.cli.usage:usage", "Show how much accounts and repositories hold."),
    "quota": _Entry("longshore.cli.quota:quota", "Set what accounts and repositories may hold."),
    "history": _Entry("longshore.cli.history:history", "Show who made which tag name what, and when."),
    "undelete": _Entry("longshore.cli.undelete:undelete", "Bring back what was deleted, or expired."),
    "purge": _Entry("longshore.cli.undelete:purge", "Let a deleted image go for good, before its time."),
    "webhook": _Entry("longshore.cli.webhook:webhook", "Say who is told of events, and see what became of that."),
    "cert": _Entry("longshore.cli.cert:cert", "Make a TLS certificate, and say how clients come to trust it."),
    "config": _Entry("longshore.cli.config:config", "Show and check the configuration."),
    "admin": _Entry("longshore.cli.admin:admin", "Manage accounts, and the policies that bound them."),
    "policy": _Entry("longshore.cli.policy:policy", "Explain decisions, and check policies."),
    "audit": _Entry("longshore.cli.audit:audit", "Show changes and refusals, newest first."),
    "api": _Entry("longshore.cli.api:api", "List AWS's operations, and which of them are implemented."),
    "storage": _Entry("longshore.cli.storage:storage", "Prepare the places where bytes lie, and move what lies there."),
    "doctor": _Entry("longshore.cli.doctor:doctor", "Try an installation from end to end, and say what to do."),
    "ready": _Entry("longshore.cli.ready:ready", "Say whether the server that is set up here answers."),
    "check": _Entry("longshore.cli.check:check", "Hold rows and bytes against each other."),
    "gc": _Entry("longshore.cli.gc:gc", "Take away what nothing needs any more."),
    "scrub": _Entry("longshore.cli.scrub:scrub", "Read all stored layers again, and mark those that rotted."),
    "backup": _Entry("longshore.cli.backup:backup", "Copy the data directory beside a running server."),
    "restore": _Entry("longshore.cli.backup:restore", "Put a backup back."),
}


class _Commands(click.Group):
    """The commands of the table, imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].target.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"No such command '{args[0]}'{f', did you mean {close[0]}?' if close else ''}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])


@click.group(cls=_Commands)
@click.version_option(package_name="longshore")
@click.option("--traceback", is_flag=True, help="Show where an unexpected failure happened.")
def cli(traceback: bool) -> None:
    """A container registry that AWS's own tools take for Amazon ECR."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    code = 0
    try:
        result = cli.main(given, prog_name="longshore", standalone_mode=False)
        code = result if isinstance(result, int) else 0
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        code = 1
    except Exception as error:
        if given[:1] == ["--traceback"] and not isinstance(error, click.ClickException):
            raise
        line, code = told(error)
        click.echo(f"longshore: {line}", err=True)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _discard_output()
    sys.exit(code)


def told(error: Exception) -> tuple[str, int]:
    """A failure as one line, and the exit code."""
    from longshore.config import ConfigError
    from registry.errors import LongshoreError

    match error:
        case click.UsageError():
            line, code = _usage(error), 2
        case click.ClickException():
            line, code = error.format_message(), error.exit_code
        case click.Abort():
            line, code = "interrupted", 1
        case ConfigError():
            line, code = str(error), 2
        case LongshoreError():
            line, code = error.message, 1
        case OSError(strerror=str(why)):
            line, code = f"{why}: {error.filename}" if error.filename else why, 1
        case _:
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            line, code = f"unexpected failure, please report it: {what} (`longshore --traceback` shows where)", 1
    return " ".join(line.split()), code


def _usage(error: click.UsageError) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return f"a command is missing; see `{error.ctx.command_path} --help`"
    path = error.ctx.command_path if error.ctx is not None else "longshore"
    return f"{error.format_message().rstrip('.')}; see `{path} --help`"


def _discard_output() -> None:
    """What waits in standard output can go nowhere: nothing may be said of it again when the program ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
