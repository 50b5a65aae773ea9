"""`longshore serve`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from longshore import config as configuration

if TYPE_CHECKING:
    from longshore.wiring import RootKey


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Data directory.  [default: ./longshore-data]")
@click.option("--config", "file", type=click.Path(path_type=Path), help="Configuration file (TOML).")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one.  [default: 5000]")
@click.option("--workers", type=int, help="Processes that share the port.  [default: 1]")
@click.option("--tls-cert", help="Certificate chain (PEM); `longshore cert` makes one.")
@click.option("--tls-key", help="Private key of the certificate (PEM).")
@click.option("--create-on-push/--no-create-on-push", default=None, help="Create a missing repository on push.")
@click.option("--profile", type=click.Path(path_type=Path), help="Write there, at the end, where the time went.")
@click.option("--inherit", hidden=True, help="Descriptors from the parent process.")
def serve(data: Path | None, file: Path | None, inherit: str | None, profile: Path | None, **flags: object) -> None:
    """Run the registry."""
    loaded = configuration.load(data=data, file=file, env=os.environ, flags=_settings(flags))
    from longshore import collecting, notify, observe, profiling, server, wiring

    listener = observe.set_up_logs(loaded.log)
    try:
        wiring.arm_failpoint(os.environ, host=loaded.http.host)
        if inherit is not None:
            with profiling.profiled(profile, is_worker=True):
                server.run_worker(loaded, server.Inherited.parse(inherit))
            return
        for warning in (*loaded.warnings, *filter(None, [collecting.warning(loaded.gc)])):
            click.echo(f"longshore: {warning}", err=True)
        with server.bind(loaded) as socket:
            url = server.listen_url(loaded, socket)
            _show_root_key(wiring.prepare(loaded, os.environ, url))

            def announce() -> None:
                click.echo(f"longshore ready on {url}")
                notify.ready()

            if loaded.server.workers == 1:
                with profiling.profiled(profile, is_worker=False):
                    server.run_single(loaded, socket, announce)
            else:
                server.run_parent(loaded, socket, server.worker_command(sys.argv[1:]), announce)
    except wiring.CannotStart as error:
        raise click.ClickException(str(error)) from None
    finally:
        listener.stop()


def _settings(flags: dict[str, object]) -> dict[str, object]:
    """Flags that were given, by the setting that they stand for."""
    names = {
        "host": "http.host",
        "port": "http.port",
        "tls_cert": "http.tls_cert",
        "tls_key": "http.tls_key",
        "workers": "server.workers",
        "create_on_push": "registry.create_on_push",
    }
    return {names[flag]: value for flag, value in flags.items() if value is not None}


def _show_root_key(key: "RootKey") -> None:
    if not key.is_new:
        return
    click.echo(f"A root access key was made for account {key.account}; it is kept in {key.file}")
    if sys.stdout.isatty():
        click.echo(f"  access key id      {key.access_key_id}\n  secret access key  {key.secret}")
    click.echo('Use it with: eval "$(longshore env)"')
