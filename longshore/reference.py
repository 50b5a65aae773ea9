"""The configuration as people read it: the reference of all settings, and the settings of one installation.

The reference is a page and a commented file, written from the fields of `longshore/config.py` and
`registry/options.py`; docs/configuration.md and deploy/config.example.toml hold them, and a test holds all together. A
secret is never shown, only whether there is one.
"""

import json
import textwrap
from typing import Any, Final

from longshore.config import (
    DEFAULTS,
    LISTS,
    PER_REGION,
    PLACES,
    SECRETS,
    SECTIONS,
    SETTINGS,
    Config,
    env_name,
    expected,
)
from registry.options import Home, Place

HIDDEN: Final = "(hidden)"

_INTRODUCTION: Final = """\
# Configuration

Longshore runs without any. What is set wins in this order: a flag of the command, then the environment, then the file
that `--config` names, then the default.

- **File**: TOML, one table for each section below. A key that is not known is an error.
- **Environment**: `LONGSHORE_SECTION__KEY`, with two underscores between section and key. A name that is not known is
  a warning. Lists are written with commas. A secret can also be read from a file: add `_FILE` to its name.
- **Flags**: `longshore serve --help` lists them.

`longshore config check FILE` says whether a file can be used, `longshore config show` what holds in the end, without
secrets. Relative paths start at the directory that the command is run in.

These names are read from the environment, and are not settings: `LONGSHORE_ROOT_ACCESS_KEY_ID` and
`LONGSHORE_ROOT_SECRET_ACCESS_KEY` bring the root user's access key; without them one is made at the first start and
kept in the data directory. `LONGSHORE_FAILPOINT` is for tests of Longshore itself.

This page is written by `longshore config reference`.
"""

_EXAMPLE: Final = """\
## Example

```toml
[http]
host = "0.0.0.0"
port = 443
tls_cert = "/etc/longshore/server.crt"
tls_key = "/etc/longshore/server.key"

[registry]
account = "123456789012"
region = "eu-central-1"
public_url = "https://registry.example.com"
```
"""


_REGIONS: Final = f"""\
A region whose bytes lie elsewhere has a table of its own in the file. It may hold these keys, and what it does not say
is as in `[storage]`: {", ".join(f"`{key}`" for key in PER_REGION)}.

```toml
[storage]
kind = "s3"
endpoint = "http://minio.example.com:9000"
bucket = "longshore"

[storage.regions.eu-west-1]
endpoint = "http://minio.eu.example.com:9000"
```

A table `[storage.previous]` names where bytes lay before, while [they move](operating.md#moving-the-bytes). It holds
the same keys, and none of them comes from `[storage]`. A table `[storage.archive]` names where the bytes of archived
images lie, and what it does not say is as in `[storage]`, with `archive/` behind the prefix; without it, they lie in
`archive/` below the data directory, or in the same bucket below that prefix. In the environment their keys are
`LONGSHORE_STORAGE__PREVIOUS__KIND`, `LONGSHORE_STORAGE__ARCHIVE__STORAGE_CLASS` and so on. A region's table may have
both too, `[storage.regions.eu-west-1.previous]`.

```toml
[storage]
kind = "s3"
bucket = "longshore"

[storage.previous]
kind = "disk"

[storage.archive]
storage_class = "GLACIER_IR"
```
"""


def render_reference() -> str:
    """The page, as Markdown."""
    return "\n".join([_INTRODUCTION, *(_section(section) for section in SECTIONS), _EXAMPLE])


def _section(section: str) -> str:
    rows = [
        f"## {section}",
        "",
        (SECTIONS[section].__doc__ or "").strip(),
        "",
        "| Key | Value | Default | Meaning |",
        "|---|---|---|---|",
        *(_row(setting) for setting in _of(section)),
        "",
    ]
    return "\n".join(rows + ([_REGIONS] if section == "storage" else []))


def _row(setting: str) -> str:
    meaning = SETTINGS[setting].__metadata__[0].description
    names = f"`{env_name(setting)}`" + (f" or `{env_name(setting)}_FILE`" if setting in SECRETS else "")
    kind = f"{expected(setting)}{f'; {unit(setting)}' if unit(setting) else ''}"
    if setting in SECRETS:
        kind += "; secret"
    cells = [f"`{setting}`<br>{names}", kind, f"`{_toml(DEFAULTS[setting])}`", meaning]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


_EXAMPLE_HEAD: Final = """\
# Settings of Longshore, each with what it comes with: `longshore serve --config FILE` reads such a file.
# Lines that stay behind a `#` change nothing. What is in the environment (LONGSHORE_SECTION__KEY) or a flag wins.
# This file is written by `longshore config example`.
"""

_EXAMPLE_REGION: Final = """\
# A region whose bytes lie elsewhere: what its table does not say is as in [storage].
# [storage.regions.eu-west-1]
# endpoint = "http://minio.eu.example.com:9000"

# Where bytes lay before, while they move; and where those of archived images lie.
# [storage.previous]
# kind = "disk"
# [storage.archive]
# storage_class = "GLACIER_IR"
"""


def render_example() -> str:
    """A configuration file with every setting, as TOML of which nothing holds until it is uncommented."""
    return "\n".join([_EXAMPLE_HEAD, *(_example_section(section) for section in SECTIONS)])


def _example_section(section: str) -> str:
    lines = [f"# {(SECTIONS[section].__doc__ or '').strip()}", f"[{section}]", ""]
    for setting in _of(section):
        kind = f"{expected(setting)}{f'; {unit(setting)}' if unit(setting) else ''}"
        meaning = f"{SETTINGS[setting].__metadata__[0].description} ({kind})"
        lines += [f"# {line}" for line in textwrap.wrap(meaning, 110)]
        lines += [f"#{setting.partition('.')[2]} = {_toml(DEFAULTS[setting])}", ""]
    return "\n".join(lines + ([_EXAMPLE_REGION] if section == "storage" else []))


def _of(section: str) -> list[str]:
    """The settings of a section's own table."""
    return [setting for setting in SETTINGS if setting.rpartition(".")[0] == section]


def unit(setting: str) -> str:
    """What a number counts, where that is a unit of measure; it is the end of the key's name."""
    for ending, word in (("_seconds", "seconds"), ("_bytes", "bytes"), ("_chunk", "bytes")):
        if setting.endswith(ending):
            return word
    return ""


def shown(config: Config) -> dict[str, dict[str, Any]]:
    """All sections, by the names of their tables, with the values that hold; a secret that is set is hidden."""
    tree: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for section in SECTIONS:
        for setting in _of(section):
            key = setting.partition(".")[2]
            tree[section][key] = _shown(setting, getattr(getattr(config, section), key))
    homes: list[tuple[str, Home]] = [("storage", config.storage)]
    homes += [(f"storage.regions.{region}", home) for region, home in config.storage.regions.items()]
    for name, home in homes:
        if name != "storage":
            tree[name] = _place(home)
        tree |= {f"{name}.{table}": _place(getattr(home, table)) for table in PLACES if getattr(home, table)}
    return tree


def _place(place: Place) -> dict[str, Any]:
    return {key: _shown(f"storage.{key}", getattr(place, key)) for key in PER_REGION}


def _shown(setting: str, value: Any) -> Any:
    return HIDDEN if setting in SECRETS and value else list(value) if setting in LISTS else value


def as_toml(tree: dict[str, dict[str, Any]]) -> str:
    tables = [
        "\n".join([f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in values.items())])
        for section, values in tree.items()
    ]
    return "\n\n".join(tables) + "\n"


def _toml(value: object) -> str:
    """One value. JSON's texts, numbers, truth values and lists are TOML's too; control characters cannot occur."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
