"""Every setting from file, environment and flag; which of them wins; and what is told of names that are none."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec import inspect

from longshore import certificates
from longshore import config as configuration
from longshore.cli.serve import serve
from longshore.config import BELOW, DEFAULTS, LISTS, SECRETS, SETTINGS, ConfigError, env_name
from longshore.values import CHECKS
from registry.context import SystemClock
from tests.servers import ROOT

# Lawful values, other than the default, of settings that are not any text. What is a number or a choice is worked out.
GIVEN: dict[str, Any] = {
    "database.url": "postgresql+asyncpg://longshore:5ec2e7%40@db.example.com:5432/longshore?sslmode=require",
    "http.host": "0.0.0.0",
    "http.trusted_proxies": ["10.0.0.0/8", "2001:db8::1"],
    "registry.account": "123456789012",
    "registry.region": "eu-central-1",
    "registry.domain": "registry.example.com",
    "registry.public_url": "https://registry.example.com:8443",
    "egress.allow": ["idp.lan", "127.0.0.1:8443"],
    "log.file": "longshore.log",
    "secrets.master_key": "ab" * 32,
    "storage.endpoint": "http://minio.example.com:9000",
    "storage.public_endpoint": "https://minio.example.com",
    "storage.bucket": "longshore",
    "storage.prefix": "of/this-registry/",
    "storage.region": "eu-central-1",
    "storage.redirect_networks": ["10.0.0.0/8", "2001:db8::/32"],
    "storage.storage_class": "STANDARD_IA",
}
# Files that must be there, tried by themselves.
FILES = {"http.tls_cert", "http.tls_key", "egress.ca"}
# Settings that need another one beside them, tried in test_storage_settings.py.
TOGETHER = {"storage.kind", "storage.access_key_id", "storage.secret_access_key", "storage.sse_kms_key", *BELOW}


def other(setting: str) -> Any:
    """A lawful value that is not the default, where there is one."""
    if setting in GIVEN:
        return GIVEN[setting]
    kind: Any = inspect.type_info(SETTINGS[setting])
    kind = kind.type if isinstance(kind, inspect.Metadata) else kind
    match kind:
        case inspect.BoolType():
            return not DEFAULTS[setting]
        case inspect.IntType():
            least = int(kind.ge or 0)
            return least if least != DEFAULTS[setting] else least + 1
        case inspect.LiteralType():
            return next((value for value in kind.values if value != DEFAULTS[setting]), DEFAULTS[setting])
        case _:
            return "a text of the operator's"


OTHERS = {setting: other(setting) for setting in SETTINGS if setting not in FILES | TOGETHER}


def load(file: Path | None = None, env: dict[str, str] | None = None, flags: dict[str, object] | None = None):
    return configuration.load(data=None, file=file, env=env or {}, flags=flags or {})


def value_of(config: Any, setting: str) -> Any:
    section, _, key = setting.partition(".")
    found = getattr(getattr(config, section), key)
    return list(found) if isinstance(found, tuple) else found


def written(directory: Path, text: str) -> Path:
    file = directory / "longshore.toml"
    file.write_text(text)
    return file


def in_file(setting: str, value: Any) -> str:
    section, _, key = setting.partition(".")
    return f"[{section}]\n{key} = {json.dumps(value)}\n"


def in_environment(setting: str, value: Any) -> dict[str, str]:
    text = ", ".join(value) if setting in LISTS else json.dumps(value) if isinstance(value, bool) else str(value)
    return {env_name(setting): text}


def test_every_setting_is_tried():
    """One that not every text suits needs a value above."""
    assert set(CHECKS) | LISTS <= set(GIVEN) | FILES | TOGETHER
    assert not {setting for setting, value in OTHERS.items() if value == DEFAULTS[setting]}


@pytest.mark.parametrize("setting", OTHERS)
def test_a_setting_comes_from_the_file(tmp_path, setting):
    assert value_of(load(written(tmp_path, in_file(setting, OTHERS[setting]))), setting) == OTHERS[setting]


@pytest.mark.parametrize("setting", OTHERS)
def test_a_setting_comes_from_the_environment_which_goes_before_the_file(tmp_path, setting):
    file = written(tmp_path, in_file(setting, value_of(load(), setting)))

    assert value_of(load(file, in_environment(setting, OTHERS[setting])), setting) == OTHERS[setting]


@pytest.mark.parametrize("setting", OTHERS)
def test_a_flag_goes_before_both(tmp_path, setting):
    default = value_of(load(), setting)
    file = written(tmp_path, in_file(setting, default))
    given = tuple(OTHERS[setting]) if setting in LISTS else OTHERS[setting]

    assert value_of(load(file, in_environment(setting, default), {setting: given}), setting) == OTHERS[setting]


def test_files_come_from_everywhere(tmp_path):
    issued = certificates.issue(tmp_path, [], days=1, now=SystemClock().now())
    files = {
        "http.tls_cert": str(issued.cert),
        "http.tls_key": str(issued.key),
        "egress.ca": str(issued.ca_cert),
    }
    environment = {env_name(setting): value for setting, value in files.items()}
    tables = {section: [name for name in sorted(files) if name.startswith(section)] for section in ("http.", "egress.")}
    toml = "".join(
        f"[{section[:-1]}]\n" + "".join(f"{name.partition('.')[2]} = {json.dumps(files[name])}\n" for name in names)
        for section, names in tables.items()
    )
    for config in (load(written(tmp_path, toml)), load(env=environment), load(flags=dict(files))):
        assert {setting: value_of(config, setting) for setting in FILES} == files


@pytest.mark.parametrize("setting", sorted(SECRETS - TOGETHER))
def test_a_secret_comes_from_a_file_of_its_own(tmp_path, setting):
    kept = tmp_path / "secret"
    kept.write_text(f"{OTHERS[setting]}\n")

    assert value_of(load(env={f"{env_name(setting)}_FILE": str(kept)}), setting) == OTHERS[setting]


def test_what_is_not_set_has_its_default(tmp_path):
    config = load(written(tmp_path, ""))

    assert {setting: value_of(config, setting) for setting in SETTINGS} == {
        setting: list(value) if isinstance(value, tuple) else value for setting, value in DEFAULTS.items()
    }
    assert config.warnings == ()


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False)])
def test_truth_in_the_environment(text, value):
    assert load(env={"LONGSHORE_REGISTRY__CREATE_ON_PUSH": text}).registry.create_on_push is value


@pytest.mark.parametrize(
    ("text", "networks"), [("", ()), ("10.0.0.0/8", ("10.0.0.0/8",)), (" ::1 , ,10.0.0.1 ", ("::1", "10.0.0.1"))]
)
def test_lists_in_the_environment(text, networks):
    assert load(env={"LONGSHORE_HTTP__TRUSTED_PROXIES": text}).http.trusted_proxies == networks


# --- flags of `longshore serve` ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "setting", "value"),
    [
        (["--data", "elsewhere"], "server.data", "elsewhere"),
        (["--host", "::1"], "http.host", "::1"),
        (["--port", "0"], "http.port", 0),
        (["--workers", "2"], "server.workers", 2),
        (["--create-on-push"], "registry.create_on_push", True),
        (["--no-create-on-push"], "registry.create_on_push", False),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_flag_of_serve_is_a_setting(monkeypatch, arguments, setting, value):
    real, loaded = configuration.load, []

    def remember(**given):
        loaded.append(real(**{**given, "env": {}}))
        raise ConfigError("far enough")

    monkeypatch.setattr(configuration, "load", remember)
    with pytest.raises(ConfigError, match="far enough"):
        serve.main(arguments, standalone_mode=False)

    assert value_of(loaded[0], setting) == value


# --- names that are none ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("[http]\nprot = 1", "http.port"),
        ("[htpp]\nport = 1", "http.port"),
        ("[server]\nport = 1", "http.port"),
        ("[auth]\ntoken_second = 1", "auth.token_seconds"),
        ("[limit]\nopen_uploads = 1", "limits.open_uploads"),
        ("workers = 1", "server.workers"),
    ],
)
def test_an_unknown_key_of_the_file_is_an_error_with_the_nearest_name(tmp_path, text, suggestion):
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text))

    assert "there is no such setting" in str(caught.value)
    assert str(caught.value).endswith("(file longshore.toml)")
    assert f"did you mean {suggestion}?" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("LONGSHORE_HTTP__PROT", "did you mean LONGSHORE_HTTP__PORT?"),
        ("LONGSHORE_HTTP_PORT", "did you mean LONGSHORE_HTTP__PORT?"),
        ("LONGSHORE_METRICS_TOKEN_FILE", "did you mean LONGSHORE_METRICS__TOKEN_FILE?"),
        ("LONGSHORE_HTTP__PORT_FILE", "LONGSHORE_HTTP__PORT_FILE is not a setting"),
        ("LONGSHORE_X__Y", "LONGSHORE_X__Y is not a setting (environment)"),
    ],
)
def test_a_mistaken_name_in_the_environment_is_a_warning(name, warning):
    (told,) = load(env={name: "whatever"}).warnings

    assert warning in told
    assert "whatever" not in told


@pytest.mark.parametrize(
    "name", ["LONGSHORE_PORT", "LONGSHORE_SERVICE_HOST", "LONGSHORE_ROOT_ACCESS_KEY_ID", "LONGSHORE_TEST_X", "PATH"]
)
def test_other_programs_names_are_not_ours(name):
    """Kubernetes puts LONGSHORE_PORT and its like into every pod beside a service of that name."""
    assert load(env={name: "tcp://10.0.0.1:5000"}).warnings == ()


@pytest.mark.parametrize("setting", sorted(SECRETS))
def test_the_value_of_a_secret_is_never_told(tmp_path, setting):
    bad = "sec\nret"
    for file, env in ((written(tmp_path, in_file(setting, bad)), {}), (None, {env_name(setting): bad})):
        with pytest.raises(ConfigError) as caught:
            load(file, env)

        assert setting in str(caught.value)
        assert "sec" not in str(caught.value).replace(setting, "")
        assert "\n" not in str(caught.value)


# --- longshore config -------------------------------------------------------------------------------------------------


def test_show_is_a_file_that_can_be_read_again(cli, tmp_path):
    shown = cli("config", "show", LONGSHORE_HTTP__PORT="81", LONGSHORE_HTTP__TRUSTED_PROXIES="10.0.0.0/8")
    file = written(tmp_path, shown.out)
    again = cli("config", "show", "--config", str(file))

    assert (shown.code, shown.err) == (0, "")
    assert tomllib.loads(shown.out)["http"]["port"] == 81
    assert again.out == shown.out


def test_show_as_json_says_the_same(cli):
    as_toml = tomllib.loads(cli("config", "show").out)

    assert json.loads(cli("config", "show", "--output", "json").out) == as_toml
    assert {f"{section}.{key}" for section, held in as_toml.items() for key in held} == set(SETTINGS)


def test_show_hides_secrets(cli):
    for form in ("toml", "json"):
        shown = cli(
            "config",
            "show",
            "--output",
            form,
            LONGSHORE_METRICS__TOKEN="a-token-of-mine",
            LONGSHORE_SECRETS__MASTER_KEY="ab" * 32,
        )

        assert "a-token-of-mine" not in shown.out and "abab" not in shown.out
        assert shown.out.count("(hidden)") == 2
    assert "(hidden)" not in cli("config", "show").out


def test_show_warns_on_standard_error(cli):
    shown = cli("config", "show", LONGSHORE_HTTP_PORT="81")

    assert shown.code == 0
    assert shown.err.startswith("longshore: LONGSHORE_HTTP_PORT is not a setting")
    assert tomllib.loads(shown.out)["http"]["port"] == 5000


def test_show_takes_the_data_directory(cli):
    assert tomllib.loads(cli("config", "show", "--data", "elsewhere").out)["server"]["data"] == "elsewhere"


def test_check_of_a_file_that_can_be_used(cli, tmp_path):
    file = written(tmp_path, "[http]\nport = 81\n")
    checked = cli("config", "check", str(file))

    assert (checked.code, checked.out, checked.err) == (0, f"{file} can be used\n", "")


def test_check_of_a_file_that_cannot(cli, tmp_path):
    checked = cli("config", "check", str(written(tmp_path, "[http]\nport = 81000\n")))

    assert (checked.code, checked.out) == (2, "")
    assert checked.err == "longshore: http.port: 81000 is not a whole number from 0 to 65535 (file longshore.toml)\n"


def test_check_needs_a_file(cli):
    checked = cli("config", "check")

    assert checked.code == 2
    assert checked.err == "longshore: Missing argument 'FILE'; see `longshore config check --help`\n"


def test_the_reference_page_is_what_the_command_prints(cli):
    printed = cli("config", "reference")

    assert printed.code == 0
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == printed.out


def test_the_reference_page_names_every_setting_with_its_default(cli):
    page = cli("config", "reference").out
    for setting in SETTINGS:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{setting}`")]

        assert f"`{env_name(setting)}`" in row
        assert (f"`{env_name(setting)}_FILE`" in row) == (setting in SECRETS)
        assert len(row.split("|")) == 6


def test_the_pages_example_can_be_used(cli, tmp_path):
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    issued = certificates.issue(tmp_path / "tls", [], days=1, now=SystemClock().now())
    example = page.partition("```toml\n")[2].partition("```")[0]
    for named, there in (("server.crt", issued.cert), ("server.key", issued.key)):
        example = example.replace(f"/etc/longshore/{named}", str(there))
    checked = cli("config", "check", str(written(tmp_path, example)))

    assert (checked.code, checked.err) == (0, "")
