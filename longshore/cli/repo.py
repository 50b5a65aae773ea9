"""`longshore repo`: repositories, for who has no AWS CLI."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from longshore.cli import output as answers
from longshore.cli.access import connect, telling
from longshore.cli.naming import repository_of
from longshore.cli.operator import entry_of, on_record
from longshore.cli.options import with_data, with_output
from longshore.cli.rooms import in_rooms, registry_of, with_registry
from longshore.config import Config

if TYPE_CHECKING:
    from registry.context import Deps
    from registry.model import Repository

_MUTABILITY: Final = {
    "MUTABLE": "mutable",
    "IMMUTABLE": "immutable",
    "MUTABLE_WITH_EXCLUSION": "mutable, with exclusions",
    "IMMUTABLE_WITH_EXCLUSION": "immutable, with exclusions",
}


@click.group()
def repo() -> None:
    """Create, list, protect and delete repositories."""


def _tags(_ctx: click.Context, _param: click.Parameter, given: Sequence[str]) -> list[dict[str, str]]:
    pairs = [text.partition("=") for text in given]
    wrong = next((key or "=" for key, equals, _ in pairs if not key or not equals), None)
    if wrong is not None:
        raise click.BadParameter(f"'{wrong}' is not of the form KEY=VALUE")
    return [{"Key": key, "Value": value} for key, _, value in pairs]


@repo.command()
@click.argument("name")
@click.option("--immutable", is_flag=True, help="A tag, once pushed, stays with its image.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", callback=_tags, help="Resource tag; repeatable.")
@with_data
@with_output("table", "json")
def create(
    name: str, immutable: bool, tags: list[dict[str, str]], data: Path | None, file: Path | None, output: str
) -> None:
    """Create the repository NAME and print the URI to push to."""
    mutability = "IMMUTABLE" if immutable else "MUTABLE"
    with telling():
        made = connect(data, file).call(
            "create_repository", repositoryName=name, imageTagMutability=mutability, tags=tags
        )["repository"]
    if output == "json":
        answers.show_json(_facts(made))
    else:
        click.echo(made["repositoryUri"])


@repo.command("list")
@click.option("--prefix", default="", help="Only repositories whose name begins so.")
@with_data
@with_output("table", "json")
def list_(prefix: str, data: Path | None, file: Path | None, output: str) -> None:
    """List repositories."""
    with telling():
        found = sorted(_found(connect(data, file).items("describe_repositories", "repositories"), prefix), key=_name)
    if output == "json":
        answers.show_json([_facts(one) for one in found])
        return
    rows = [
        (
            one["repositoryName"],
            _MUTABILITY.get(one["imageTagMutability"], one["imageTagMutability"]),
            f"{one['createdAt']:%Y-%m-%d %H:%M}",
            one["repositoryUri"],
        )
        for one in found
    ]
    answers.show_table(("REPOSITORY", "TAGS", "CREATED", "URI"), rows, empty="there are no repositories")


@repo.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="With all images in it.")
@with_data
@with_output("table", "json")
def delete(name: str, force: bool, data: Path | None, file: Path | None, output: str) -> None:
    """Delete the repository NAME."""
    with telling(RepositoryNotEmptyException="--force deletes its images too"):
        gone = connect(data, file).call("delete_repository", repositoryName=name, force=force)["repository"]
    if output == "json":
        answers.show_json(_facts(gone))
    else:
        click.echo(f"deleted {gone['repositoryName']}")


@repo.command()
@click.argument("name")
@click.argument("state", type=click.Choice(["on", "off"]), required=False)
@with_registry
@with_data
@with_output("table", "json")
def protect(
    name: str,
    state: str | None,
    account: str | None,
    region: str | None,
    data: Path | None,
    file: Path | None,
    output: str,
) -> None:
    """Protect the repository NAME from deletion, and all that is in it; or say whether it is protected.

    While it is on, neither the API, docker's door nor a lifecycle policy takes anything away. It is set in the data
    directory itself, beside a running server.
    """

    async def work(config: Config, deps: "Deps") -> "Repository":
        from registry import repositories
        from registry.names import repository_arn

        ref, named = registry_of(config, account, region), repository_of(name)
        if state is None:
            return await repositories.get(deps, ref, named)
        told = entry_of(ref, "ProtectRepository", resource=repository_arn(ref, named), protected=state == "on")
        return await repositories.set_protected(on_record(config, deps, told), ref, named, state == "on")

    found = in_rooms(data, file, work)
    if output == "json":
        answers.show_json({"name": found.name, "protected": found.protected})
    else:
        click.echo(f"{found.name} is {'protected from deletion' if found.protected else 'not protected'}")


def _found(all_of_them: Iterator[dict[str, Any]], prefix: str) -> Iterator[dict[str, Any]]:
    return (one for one in all_of_them if _name(one).startswith(prefix))


def _name(repository: dict[str, Any]) -> str:
    return str(repository["repositoryName"])


def _facts(repository: dict[str, Any]) -> dict[str, Any]:
    """A repository for programs; the keys are promised."""
    return {
        "name": repository["repositoryName"],
        "uri": repository["repositoryUri"],
        "arn": repository["repositoryArn"],
        "createdAt": repository["createdAt"],
        "tagMutability": repository["imageTagMutability"],
    }
