"""The house laws, and the conventions that a reader relies on, held against the code itself."""

import ast
import importlib
import pkgutil
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import longshore.app
from registry import errors
from registry.aws import spec
from registry.aws.door import BY_HANDLER, NO_PERMISSION_NEEDED, OPERATIONS
from registry.aws.errors import face
from registry.v2.errors import describe
from registry.v2.routes import ROUTES

ROOT = Path(__file__).parent.parent
PACKAGES = ("longshore", "registry", "policies")
ROOMS = (
    "accounts",
    "sessions",
    "account_summary",
    "attachments",
    "instance_profiles",
    "oidc_providers",
    "roles",
    "identities",
    "groups",
    "access_keys",
    "managed_policies",
    "repositories",
    "images",
    "layers",
    "uploads",
    "downloads",
    "intake",
    "receiving",
    "quotas",
    "usage",
    "integrity",
    "gc",
    "scrub",
    "chores",
    "bindings",
    "settings",
    "lifecycle",
    "image_users",
    "archiving",
    "archived_bytes",
    "relocation",
    "emptying",
    "pull_times",
    "undo",
    "undelete",
    "history",
    "webhooks",
    "delivering",
    "event_log",
)
DOORS = longshore.app.DOORS  # imported for what their import does: every operation is on the table


def modules(*packages: str) -> list[Path]:
    found = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    return sorted(path for path in found if "versions" not in path.parts)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            found.add(node.module or "")
    return found


def calls_in(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


def ids(paths: list[Path]) -> list[str]:
    return [name_of(path) for path in paths]


ALL = modules(*PACKAGES)


# --- law 1: bytes before rows, rows before burial ---------------------------------------------------------------------


def test_law_1_an_upload_is_durable_before_its_row_and_spare_bytes_go_after_it() -> None:
    """The order of the steps as they stand in the one function that commits, and in the one that calls it."""
    tree = tree_of(ROOT / "registry" / "uploads.py")
    functions = {node.name: ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}

    finish, commit = functions["finish"], functions["_commit"]
    assert finish.count("_commit(") == finish.count("stored = ") == 1
    assert (
        0
        < finish.index("stored = await hold.finish(staged)")
        < finish.index("_commit(deps, repository, row, digest, stored)")
    )
    assert 0 < commit.index("deps.db.write(unit)") < commit.index("store.delete(spare)")


# --- law 2: every entry names its action ------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ROUTES, ids=lambda key: f"{key[1]}-{key[0]}")
def test_law_2_every_route_names_actions_of_the_model(key: tuple[str, str]) -> None:
    known = {f"ecr:{name}" for name in spec.load("ecr").operations}

    assert set(ROUTES[key].actions) <= known
    assert ROUTES[key].actions or key[0] == "base"


def test_law_2_every_operation_says_what_it_is_authorized_on() -> None:
    free = {entry.action for entry in OPERATIONS if entry.on is NO_PERMISSION_NEEDED}
    by_handler = {entry.action for entry in OPERATIONS if entry.on is BY_HANDLER}

    assert free == {"sts:GetCallerIdentity", "sts:GetSessionToken"}
    assert by_handler == {"ecr:DescribeRepositories", "sts:AssumeRoleWithWebIdentity"}
    assert {entry.action for entry in OPERATIONS if entry.unsigned} == {"sts:AssumeRoleWithWebIdentity"}
    assert len(list(OPERATIONS)) >= 27


def test_law_2_only_doors_authorize() -> None:
    for room in ROOMS:
        path = ROOT / "registry" / f"{room}.py"
        assert not [call for _, call in calls_in(path) if call.endswith("authorize")], room


# --- law 3: deciding does no I/O --------------------------------------------------------------------------------------

PURE_STDLIB = {
    "abc", "base64", "binascii", "bisect", "collections", "collections.abc", "dataclasses", "datetime", "enum",
    "functools", "hashlib", "hmac", "ipaddress", "itertools", "json", "math", "re", "string", "typing", "unicodedata",
}  # fmt: skip


@pytest.mark.parametrize("path", modules("policies"), ids=name_of)
def test_law_3_policies_import_words_of_the_standard_library_only(path: Path) -> None:
    foreign = {name for name in imports_of(path) if not name.startswith("policies")}

    assert foreign <= PURE_STDLIB


@pytest.mark.parametrize(
    "name", ["registry/manifests.py", "registry/auth/sigv4.py", "registry/grace.py", "registry/names.py"]
)
def test_law_3_pure_modules_take_the_time_as_an_argument(name: str) -> None:
    calls = {call for _, call in calls_in(ROOT / name)}

    assert not calls & {"open", "time.time", "dt.datetime.now", "datetime.now", "os.urandom"}


# --- law 4: one step, one transaction ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", modules("registry/records"), ids=name_of)
def test_law_4_rows_know_no_network_and_wait_for_nothing(path: Path) -> None:
    assert not imports_of(path) & {"aiohttp", "socket", "urllib.request"}
    if path.name not in ("engine.py", "pg_connections.py", "postgresql.py"):
        assert not [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.AsyncFunctionDef)]


# --- law 5: errors are domain errors until the door -------------------------------------------------------------------


def every_error(root: type[errors.LongshoreError] = errors.LongshoreError) -> list[type[errors.LongshoreError]]:
    return [root, *(found for child in root.__subclasses__() for found in every_error(child))]


def bare(kind: type[errors.LongshoreError]) -> errors.LongshoreError:
    """An instance with a message and nothing else: faces may look at the class alone."""
    made = kind.__new__(kind)
    Exception.__init__(made, "why")
    made.__dict__.update(message="why", field="", size=0, last_valid_byte=0, code="UnrecognizedClientException")
    made.__dict__.update(upload="u", name="n", account="0" * 12, digests=[], digest="d", parents=[], limit=1)
    return made


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_law_5_every_domain_error_has_an_oci_face(kind: type[errors.LongshoreError]) -> None:
    code, status, message = describe(bare(kind))

    assert code.replace("_", "").isupper()
    assert 400 <= status < 500 or (status == 503 and issubclass(kind, errors.Unavailable))
    assert message == "why"


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_law_5_every_domain_error_has_an_aws_face(kind: type[errors.LongshoreError]) -> None:
    told = face(bare(kind), spec.load("ecr"), None)

    assert told.code.endswith("Exception") or told.code in ("ServiceUnavailable", "SlowDown")
    assert 400 <= told.status < 500 or issubclass(kind, errors.Unavailable)


@pytest.mark.parametrize("room", ROOMS)
def test_law_5_rooms_do_not_speak_http(room: str) -> None:
    assert not [name for name in imports_of(ROOT / "registry" / f"{room}.py") if name.startswith("aiohttp")]


# --- law 6: nothing later that is not a row ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", modules("registry"), ids=name_of)
def test_law_6_nothing_is_fired_and_forgotten(path: Path) -> None:
    """No task is started but by `ahead`, whose block waits for it, and in the loop of a PostgreSQL database, which ends
    with the last of them. `intake` lets a thread run one step ahead, and waits for it before it returns."""
    started = [f"{line}: {call}" for line, call in calls_in(path) if call.endswith(("create_task", "ensure_future"))]
    ahead = [f"{line}: {call}" for line, call in calls_in(path) if call == "threads.start"]

    assert not started or path.name in ("ahead.py", "postgresql.py")
    assert not ahead or path.name == "intake.py"


IDENTITY_ROOMS = (
    "access_keys", "attachments", "groups", "identities", "instance_profiles", "managed_policies", "oidc_providers",
    "roles",
)  # fmt: skip


@pytest.mark.parametrize("room", IDENTITY_ROOMS)
def test_every_change_of_who_may_what_moves_the_policy_stamp(room: str) -> None:
    """What caches hold is good for one value of the stamp, so no change may leave it where it is."""
    writes = [
        ast.unparse(node.args[0])
        for node in ast.walk(tree_of(ROOT / "registry" / f"{room}.py"))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "deps.db.write"
    ]

    assert writes
    assert [unit for unit in writes if not unit.startswith("stamps.changing(")] == []


# What quotas count, and the one place of the rooms that makes more of it: each tells the quotas.
COUNTED = {
    r"\b\w*rows\.link\(": ("quotas.blob_came(", {"layers", "uploads"}),
    r"\b\w*rows\.insert\(tx, image,": ("quotas.image_came(", {"images"}),
}


@pytest.mark.parametrize("written", COUNTED)
def test_what_quotas_count_is_counted_where_it_comes(written: str) -> None:
    """What goes is counted by the rows themselves: whoever lets a layer or an image come has to ask whether it may."""
    told, rooms = COUNTED[written]
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "registry").glob("*.py")}
    writing = {name for name, text in texts.items() if re.search(written, text)}

    assert writing >= rooms
    assert {name for name in writing if told not in texts[name]} == set()


def test_what_quotas_count_is_written_by_few_modules_of_rows() -> None:
    """Another statement that makes or deletes links or manifests would be one that is not counted."""
    writes = re.compile(r"sa\.(insert|delete)\((links|manifests|repositories)\)")
    found = {path.stem for path in modules("registry", "longshore") if writes.search(path.read_text(encoding="utf-8"))}

    assert found == {"blobs", "gc", "images", "repositories", "undo"}
    for name in found:
        assert "quotas." in (ROOT / "registry" / "records" / f"{name}.py").read_text(encoding="utf-8")


# --- conventions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_every_module_has_a_plate_on_its_door(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_no_module_holds_two_nouns(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_nothing_unsafe_is_read_back(path: Path) -> None:
    """promises.md T14: no state that executes."""
    assert not imports_of(path) & {"pickle", "marshal", "shelve", "yaml"}
    assert not [call for _, call in calls_in(path) if call in ("eval", "exec")]


_NUMBER = re.compile(r"\b(?:[PR]\d{1,2}|[TF]\d{2})\b")
_SPAN = re.compile(r"\b([TF])(\d{2})(?:-| to )\1(\d{2})\b")
PROMISES = ROOT / "docs" / "promises.md"


def numbers_in(text: str) -> set[str]:
    """Numbers of promises, threats, faults and figures; a span stands for all that are in it."""
    spans = [(kind, range(int(first), int(last) + 1)) for kind, first, last in _SPAN.findall(text)]
    return {*_NUMBER.findall(text), *(f"{kind}{number:02}" for kind, span in spans for number in span)}


def promised() -> dict[str, list[str]]:
    """By number, the tests that docs/promises.md names for it."""
    rows = re.findall(r"^\| ([PTFR]\d+) \|.*\| (.*) \|$", PROMISES.read_text(encoding="utf-8"), re.MULTILINE)
    return {number: re.findall(r"`([^`]+)`", where) for number, where in rows}


def test_every_number_that_a_comment_gives_can_be_looked_up() -> None:
    paths = [*ALL, *(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    unknown = {name_of(path): sorted(numbers_in(path.read_text(encoding="utf-8")) - set(promised())) for path in paths}

    assert {path: numbers for path, numbers in unknown.items() if numbers} == {}


def test_what_docs_promises_says_of_its_tests_is_so() -> None:
    """Each file is there and names the number. A test that names one is not always in the list: it may be a detail."""
    wrong = [
        (number, path)
        for number, paths in promised().items()
        for path in paths
        if not (ROOT / path).exists() or number not in numbers_in((ROOT / path).read_text(encoding="utf-8"))
    ]

    assert wrong == []
    assert len(promised()) > 100


def test_every_module_stands_on_a_floor() -> None:
    """import-linter says nothing of a module that no contract names."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    floors = {part.strip(" ()") for layer in contracts[0]["layers"] for part in layer.replace(":", "|").split("|")}
    homeless = [
        name
        for name in ids(ALL)
        if name not in PACKAGES and not any(name == floor or name.startswith(floor + ".") for floor in floors)
    ]

    assert homeless == []


def test_our_names_are_not_shadowed_by_another_distribution() -> None:
    for package in PACKAGES:
        found = importlib.import_module(package)
        assert Path(found.__file__ or "").parent == ROOT / package


def test_no_test_folder_is_a_package() -> None:
    """A `tests/registry/__init__.py` would shadow the real package."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_every_module_can_be_imported() -> None:
    for package in PACKAGES:
        for found in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not found.name.endswith("__main__") and ".migrations" not in found.name:
                importlib.import_module(found.name)

    assert "registry.v2.routes" in sys.modules


def test_lock_files_hold_hashes_and_no_addresses() -> None:
    for path in ROOT.glob("requirements*.lock"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert text.count("--hash=sha256:") > 40


@pytest.mark.parametrize("folder", ["v2", "ecr"])
def test_what_the_doors_promise_holds_whatever_lies_below(folder: str) -> None:
    """Their tests run on every set-up, all of them; what only a store on disk can show has a folder of its own."""
    texts = {path.name: path.read_text() for path in (ROOT / "tests" / "registry" / folder).glob("test_*.py")}

    assert not [name for name, text in texts.items() if re.search(r"skip(if)?\(|\bSTORE\b", text)]
