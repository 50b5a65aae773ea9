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
    """List images, archive them and have them back, and say who uses them."""


image.add_command(use)


@image.command("list")
@click.argument("repository")
@click.option("--untagged", is_flag=True, help="Only images that no tag names.")
@click.option("--archived", is_flag=True, help="Those that cannot be pulled, instead: archived, or being restored.")
@with_data
@with_output("table", "json")
def list_(repository: str, untagged: bool, archived: bool, data: Path | None, file: Path | None, output: str) -> None:
    """List the images of REPOSITORY, newest first."""
    wanted = {"tagStatus": "UNTAGGED" if untagged else "ANY", "imageStatus": "ANY" if archived else "ACTIVE"}
    with telling():
        found = connect(data, file).items("describe_images", "imageDetails", repositoryName=repository, filter=wanted)
        found = (one for one in found if archived is (one["imageStatus"] != "ACTIVE"))
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
            *((one["imageStatus"].lower(),) if archived else ()),
        )
        for one in images
    ]
    nothing = f"there are no {'untagged ' if untagged else ''}{'archived ' if archived else ''}images in {repository}"
    titles = ("TAGS", "DIGEST", "SIZE", "PUSHED", *(("STATUS",) if archived else ()))
    answers.show_table(titles, rows, empty=nothing)


@image.command()
@click.argument("repository")
@click.argument("reference")
@with_data
@with_output("table", "json")
def archive(repository: str, reference: str, data: Path | None, file: Path | None, output: str) -> None:
    """Archive the image of REPOSITORY that REFERENCE, a tag or a digest, names: it is kept, and cannot be pulled."""
    _change(repository, reference, "ARCHIVE", data, file, output)


@image.command()
@click.argument("repository")
@click.argument("reference")
@with_data
@with_output("table", "json")
def restore(repository: str, reference: str, data: Path | None, file: Path | None, output: str) -> None:
    """Have the archived image of REPOSITORY back that REFERENCE, a tag or a digest, names."""
    _change(repository, reference, "STANDARD", data, file, output)


def _change(repository: str, reference: str, target: str, data: Path | None, file: Path | None, output: str) -> None:
    from registry.names import is_digest

    named = {"imageDigest" if is_digest(reference) else "imageTag": reference}
    with telling():
        done = connect(data, file).call(
            "update_image_storage_class", repositoryName=repository, imageId=named, targetStorageClass=target
        )
    if output == "json":
        facts = {"repository": repository, "digest": done["imageId"]["imageDigest"], "status": done["imageStatus"]}
        answers.show_json(facts)
        return
    told = {"ARCHIVED": "is archived", "ACTIVATING": "is being restored", "ACTIVE": "can be pulled"}
    click.echo(f"{repository} {reference} {told[done['imageStatus']]}")


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
        "status": image.get("imageStatus", "ACTIVE"),
        "mediaType": image.get("imageManifestMediaType"),
        "artifactType": image.get("artifactMediaType"),
    }
