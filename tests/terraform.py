"""Terraform with the AWS provider, in a folder of its own, pointed at a server by what `longshore env` exports."""

from pathlib import Path
from typing import Final

from tests import parts
from tests.cli import Finished, run
from tests.servers import RunningServer

PROVIDER: Final = """
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
"""


class Terraform:
    """Calling it writes the configuration and runs terraform on it: `terraform("apply", text, "-auto-approve")`."""

    def __init__(self, folder: Path, server: RunningServer) -> None:
        self._folder, self._server = folder, server
        folder.mkdir()

    def __call__(self, verb: str, text: str, *arguments: str) -> Finished:
        (self._folder / "main.tf").write_text(text)
        if not (self._folder / ".terraform").exists():
            plugins = parts.terraform_plugins()
            assert plugins is not None
            ready = self._run("init", f"-plugin-dir={plugins}", "-input=false")
            assert ready.code == 0, ready.err
        return self._run(verb, *arguments)

    def apply(self, text: str) -> str:
        return applied(self("apply", text, "-auto-approve", "-input=false"))

    def destroy(self, text: str) -> str:
        return applied(self("destroy", text, "-auto-approve", "-input=false"))

    def plans_nothing(self, text: str) -> bool:
        """Whether all is as the configuration says."""
        done = self("plan", text, "-detailed-exitcode", "-input=false")
        assert done.code in (0, 2), done.err
        return done.code == 0

    def _run(self, *arguments: str) -> Finished:
        exported = self._server.client_environment()
        return run(
            "terraform",
            *arguments,
            "-no-color",
            cwd=self._folder,
            PATH="/usr/local/bin:/usr/bin:/bin",
            CHECKPOINT_DISABLE="1",
            TF_IN_AUTOMATION="1",
            **{name: value for name, value in exported.items() if name.startswith("AWS_")},
        )


def applied(done: Finished) -> str:
    """The summary: what was added, changed and destroyed."""
    assert done.code == 0, done.err
    return next(line for line in done.out.splitlines() if "complete! Resources:" in line)
