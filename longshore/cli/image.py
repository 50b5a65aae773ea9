"""`longshore image`: images, for who has no AWS CLI."""

import datetime as dt
from pathlib import Path
from typing import Any, Final

import click

from longshore.cli import output as answers
from longshore.cli.access import connect, telling
from longshore.cli.image_use import use
from longshore.cli.options import with_data, with_output

_SHORT: Final = 12  # hexadecimal digits of a digest, as docker shows it


@click.group()
def image() -> None:
    """List images, and who uses them."""


image.add_command(use)


@image.command("list")
@click.argument("repository")
@click.option("--untagged", is_flag=True, help="Only images that no tag names.")
@with_data
@with_output("table", "json")
def list_(repository: str, untagged: bool, data: Path | None, file: Path | None, output: str) -> None:
    """List the images of REPOSITORY, newest first."""
    narrowed = {"filter": {"tagStatus": "UNTAGGED"}} if untagged else {}
    with telling():
        found = connect(data, file).items("describe_images", "imageDetails", repositoryName=repository, **narrowed)
        images = sorted(found, key=lambda one: (one["imagePushedAt"], one["imageDigest"]), reverse=True)
    if output == "json":
        answers.show_json([_facts(repository, one) for one in images])
        return
    now = dt.datetime.now(dt.UTC)
    rows = [
        (
            ", ".join(sorted(one.get("imageTags", []))) or "-",
            _short(one["imageDigest"]),
            answers.size(one["imageSizeInBytes"]),
            answers.age(one["imagePushedAt"], now),
        )
        for one in images
    ]
    nothing = f"there are no {'untagged ' if untagged else ''}images in {repository}"
    answers.show_table(("TAGS", "DIGEST", "SIZE", "PUSHED"), rows, empty=nothing)


def _short(digest: str) -> str:
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}:{digits[:_SHORT]}"


def _facts(repository: str, image: dict[str, Any]) -> dict[str, Any]:
    """An image for programs; the keys are promised."""
    return {
        "repository": repository,
        "digest": image["imageDigest"],
        "tags": sorted(image.get("imageTags", [])),
        "sizeBytes": image["imageSizeInBytes"],
        "pushedAt": image["imagePushedAt"],
        "mediaType": image.get("imageManifestMediaType"),
        "artifactType": image.get("artifactMediaType"),
    }
