"""The operator's settings that the registry's rooms and doors read, by section, with defaults.

`longshore/config.py` fills them from the configuration file, the environment and flags, and writes the reference page
from the descriptions here. Sizes are bytes and times are seconds unless a description says otherwise.
"""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from registry.networks import lies_in

KIB, MIB = 1024, 1024 * 1024


class Registry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The registry as its users see it."""

    account: Annotated[str, Meta(description="Account id of the default registry: twelve digits.")] = "000000000000"
    region: Annotated[str, Meta(description="Region of the default registry.")] = "us-east-1"
    domain: Annotated[
        str,
        Meta(
            description="Domain below which `<account>.dkr.ecr.<region>.<domain>` names one registry. When it is set, "
            "the default registry's URIs use that form too; otherwise `localhost` is understood."
        ),
    ] = ""
    public_url: Annotated[
        str,
        Meta(
            description="URL by which clients reach this server, such as `https://registry.example.com`; used in "
            "repository URIs, the proxy endpoint and the login challenge. Empty: the address it listens on."
        ),
    ] = ""
    create_on_push: Annotated[bool, Meta(description="Create a missing repository when something is pushed to it.")] = (
        False
    )
    accept_sparse: Annotated[
        bool,
        Meta(
            description="Accept manifests that reference blobs or manifests which are not in the repository. ECR, "
            "and the default, refuse them."
        ),
    ] = False


class Auth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Login."""

    challenge: Annotated[
        Literal["bearer", "basic", "none"],
        Meta(
            description="How `/v2/` asks for a login. `bearer` also lets clients pull without one; Basic credentials "
            "are accepted either way. `none`: `/v2/` itself asks for none, where policies open all to everyone and "
            "nobody logs in; what they do not open asks as `bearer` does."
        ),
    ] = "bearer"
    token_seconds: Annotated[int, Meta(ge=60, le=43200, description="How long a docker login lasts.")] = 43200
    bearer_seconds: Annotated[
        int, Meta(ge=60, le=3600, description="How long a token of the Bearer token service lasts.")
    ] = 900


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bytes of a region lie."""

    kind: Annotated[
        Literal["disk", "s3"],
        Meta(
            description="The blob store. `disk`: below the data directory. `s3`: a bucket of any S3-compatible store; "
            "needs the extra `s3`."
        ),
    ] = "disk"
    endpoint: Annotated[
        str, Meta(description="URL of the S3 service, such as `http://minio:9000`. Empty: Amazon S3.")
    ] = ""
    public_endpoint: Annotated[
        str,
        Meta(description="URL by which clients reach the S3 service, for redirects. Empty: the same as the endpoint."),
    ] = ""
    bucket: Annotated[str, Meta(description="Bucket. It must exist.")] = ""
    prefix: Annotated[
        str,
        Meta(
            description="What all keys in the bucket begin with. Each registry has a prefix, or a bucket, of its own."
        ),
    ] = ""
    region: Annotated[
        str, Meta(description="Region that requests are signed for. Empty: as AWS's tools find it, else `us-east-1`.")
    ] = ""
    access_key_id: Annotated[
        str, Meta(description="Access key of the S3 service. Empty: as AWS's tools find it (variables, files, roles).")
    ] = ""
    secret_access_key: Annotated[str, Meta(description="Its secret.")] = ""
    addressing: Annotated[
        Literal["auto", "path", "virtual"],
        Meta(
            description="Whether the bucket stands in the path or in the host name. `auto`: in the path where an "
            "endpoint is set."
        ),
    ] = "auto"
    redirect: Annotated[
        bool,
        Meta(
            description="Send clients to the S3 service for layers, by signed URLs, instead of passing bytes through."
        ),
    ] = False
    sse: Annotated[Literal["", "AES256", "aws:kms"], Meta(description="Encryption that the S3 service shall use.")] = ""
    sse_kms_key: Annotated[str, Meta(description="KMS key for `aws:kms`. Empty: the service's default key.")] = ""
    checksums: Annotated[
        Literal["md5", "crc32", "sha256", "none"],
        Meta(
            description="What guards bytes on their way to the S3 service. `md5` (Content-MD5) is understood by all; "
            "the others where the service knows the newer checksum headers."
        ),
    ] = "md5"

    storage_class: Annotated[
        str,
        Meta(
            description="Storage class that is asked for with what is stored in the S3 service, such as `STANDARD_IA` "
            "or `GLACIER_IR`; those whose bytes must be asked for in advance cannot be used. Empty: the service's "
            "default."
        ),
    ] = ""

    @property
    def spot(self) -> tuple[str, ...]:
        """What no two stores of a region may have in common."""
        return (self.kind,) if self.kind == "disk" else (self.kind, self.endpoint, self.bucket, self.prefix.rstrip("/"))


class Home(Place, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bytes of a region lie, lay before, and lie once they are archived."""

    previous: Place | None = None
    archive: Place | None = None

    @property
    def archive_place(self) -> Place:
        """Where archived bytes lie: where that is not said, on the same disk or in the same bucket as the others."""
        if self.archive is not None:
            return self.archive
        common = {name: getattr(self, name) for name in Place.__struct_fields__}
        return Place(**{**common, "prefix": archive_prefix(self.prefix)})


class Storage(Home, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the bytes lie and how they are checked."""

    verify_reads: Annotated[
        Literal["changed", "always", "never"],
        Meta(
            description="When stored bytes are hashed again while they are served: `changed` when they are not the "
            "ones that were verified last, `always`, or `never`."
        ),
    ] = "changed"
    direct_uploads: Annotated[
        bool,
        Meta(
            description="Let a thread receive a long layer straight from its socket, for a store on disk and "
            "connections without TLS. Answers are the same without it."
        ),
    ] = True
    redirect_networks: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks whose clients are sent to the S3 service where `storage.redirect` is on, such as "
            "`10.0.0.0/8`; all others get the bytes through the server. A client's address is what "
            "`http.trusted_proxies` make of it. Empty: everyone."
        ),
    ] = ()
    early_write_back: Annotated[
        bool,
        Meta(
            description="Let a local disk begin to write a layer while it still comes in, so that less is left to do "
            "before it is acknowledged (Linux). Worth a try where the disk has little else to do."
        ),
    ] = False
    min_chunk: Annotated[
        int, Meta(ge=0, description="Advertised as OCI-Chunk-Min-Length: the least size of a chunk but the last.")
    ] = 64 * KIB
    regions: Annotated[dict[str, Home], Meta(description="Regions whose bytes lie elsewhere, by name.")] = (
        msgspec.field(default_factory=dict)
    )

    def redirects(self, address: str) -> bool:
        """Whether a client of this address may be sent to the S3 service itself."""
        return not self.redirect_networks or lies_in(address, self.redirect_networks)

    def of(self, region: str) -> Home:
        """Where a region's bytes lie."""
        return self.regions.get(region, self)


def archive_prefix(prefix: str) -> str:
    """What the keys of archived bytes begin with, in the bucket of the others."""
    return f"{prefix.rstrip('/')}/archive/".lstrip("/")


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one request or one client may take."""

    manifest_seconds: Annotated[int, Meta(ge=1, description="Longest time for the whole body of a manifest.")] = 60
    layer_bytes: Annotated[int, Meta(ge=1, description="Largest blob.")] = 52_000 * MIB
    body_floor_seconds: Annotated[
        int, Meta(ge=1, description="A body that brings less than 1 KiB a second over this time is cut off.")
    ] = 30
    json_seconds: Annotated[int, Meta(ge=1, description="Longest time for the whole body of an API call.")] = 30
    open_uploads: Annotated[
        int,
        Meta(
            ge=1, description="Unfinished uploads that one user or role may have; who is not logged in counts as one."
        ),
    ] = 1000
    profile: Annotated[
        Literal["none", "aws"],
        Meta(
            description="Counts and rates that hold beside the other limits. `aws`: the quotas of Amazon ECR for what "
            "is there and for the requests of one account a second, of which each of several workers allows its share."
        ),
    ] = "none"
    repositories: Annotated[int, Meta(ge=0, description="Repositories of one registry; 0: as the profile says.")] = 0
    images: Annotated[int, Meta(ge=0, description="Images of one repository; 0: as the profile says.")] = 0
    image_tags: Annotated[int, Meta(ge=0, description="Tags of one image; 0: as the profile says.")] = 0
    layer_parts: Annotated[
        int, Meta(ge=0, description="Parts or chunks that one layer may be sent in; 0: as the profile says.")
    ] = 0
    connections: Annotated[
        int, Meta(ge=0, description="Open connections of one process; 0: what the file descriptor limit allows.")
    ] = 0
    connections_per_source: Annotated[
        int, Meta(ge=0, description="Open connections from one address; 0: nine tenths of all.")
    ] = 0


class Quotas(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What accounts and repositories may hold, where `longshore quota set` says nothing else of them."""

    account_bytes: Annotated[
        int,
        Meta(
            ge=0,
            description="Bytes that the images of one account may have, in all regions together; 0: any number. A "
            "layer counts once however many images need it.",
        ),
    ] = 0
    account_images: Annotated[
        int, Meta(ge=0, description="Images of one account, in all regions together; 0: any number.")
    ] = 0
    repository_bytes: Annotated[
        int, Meta(ge=0, description="Bytes that the images of one repository may have; 0: any number.")
    ] = 0
    repository_images: Annotated[int, Meta(ge=0, description="Images of one repository; 0: any number.")] = 0
    unneeded_percent: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="How many more bytes may lie there that no image needs, as a share of the bytes allowed: those "
            "of pushes under way, of pushes that failed, and of deleted images that wait for garbage collection or can "
            "still be brought back. 0: they count like those that images need.",
        ),
    ] = 100

    @property
    def for_accounts(self) -> bool:
        return bool(self.account_bytes or self.account_images)

    @property
    def for_repositories(self) -> bool:
        return bool(self.repository_bytes or self.repository_images)

    @property
    def any(self) -> bool:
        return self.for_accounts or self.for_repositories


class Gc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Garbage collection: what nothing needs any more goes, beside running pushes."""

    grace_seconds: Annotated[
        int,
        Meta(
            ge=0,
            description="How long a layer that no image needs stays after it was last pushed, mounted or asked for, or "
            "after its last image was deleted. A push that takes longer may have to send layers again. Less than an "
            "hour is for trying things out.",
        ),
    ] = 86400
    interval_seconds: Annotated[
        int, Meta(ge=0, description="Time between two collections that the server begins by itself; 0: it begins none.")
    ] = 3600
    upload_seconds: Annotated[
        int, Meta(ge=0, description="How long an unfinished upload is kept after bytes last came in.")
    ] = 86400
    refuse_percent: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Nothing is collected when more than this share of the stored bytes is named by no row: the "
            "database is then likely older than the store.",
        ),
    ] = 25

    @property
    def grace(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.grace_seconds)


class Audit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record of changes and refusals."""

    keep_days: Annotated[int, Meta(ge=1, le=36500, description="How long entries are kept.")] = 90


class Jobs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Work that is done later: by `longshore serve` itself, by `longshore work`, or by both."""

    in_server: Annotated[
        bool, Meta(description="Whether `longshore serve` works on jobs. Without it, run `longshore work` beside it.")
    ] = True
    slots: Annotated[int, Meta(ge=1, le=64, description="Jobs that one process works on at a time.")] = 2
    lease_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=600,
            description="How long a job is left to a process that gives no sign of life, before another takes it up.",
        ),
    ] = 30
    keep_failed_days: Annotated[
        int, Meta(ge=1, le=36500, description="How long a job that was given up stays listed.")
    ] = 30


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lifecycle policies."""

    every_seconds: Annotated[
        int, Meta(ge=1, le=604800, description="How long after the end of one run of all policies the next begins.")
    ] = 6 * 3600
    pull_seconds: Annotated[
        int, Meta(ge=1, le=86400, description="How often the times of pulls, which gather in memory, are written.")
    ] = 60
    extensions: Annotated[
        bool,
        Meta(
            description="Accept rules that ECR refuses: the action `keep`, and `sinceImagePulled` with the action "
            "`expire`."
        ),
    ] = False


class Undo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Deletions that can be taken back, and the history of tags."""

    window_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=36500 * 86400,
            description="How long an image or repository that was deleted, or expired, can be brought back by "
            "`longshore undelete`. Its bytes stay until then. What is deleted keeps the window that it was deleted "
            "with. 0: what is deleted is gone.",
        ),
    ] = 7 * 86400
    history_days: Annotated[
        int,
        Meta(
            ge=0,
            le=36500,
            description="How long the history of tags that `longshore history` shows is kept; 0: none is written.",
        ),
    ] = 90

    @property
    def window(self) -> dt.timedelta:
        return dt.timedelta(seconds=self.window_seconds)


class Events(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What becomes of images, told as it happens: pushed, deleted, expired, archived. See docs/events.md."""

    log_file: Annotated[
        str,
        Meta(
            description="File to which each event is appended as a line of JSON; the same on all servers that share a "
            "database, each of which writes some. Empty: none."
        ),
    ] = ""


class Webhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How events are sent to webhooks, which `longshore webhook` adds."""

    slots: Annotated[
        int, Meta(ge=1, le=64, description="Events that one process sends at a time, beside other jobs.")
    ] = 8
    slots_each: Annotated[int, Meta(ge=1, le=64, description="Of these, to one webhook at most.")] = 2
    seconds: Annotated[int, Meta(ge=1, le=60, description="How long a receiver may take to answer.")] = 15
    give_up_hours: Annotated[
        int, Meta(ge=1, le=720, description="How long an event is tried again before it is kept as dead.")
    ] = 24
    keep_days: Annotated[int, Meta(ge=1, le=36500, description="How long dead events are kept.")] = 30
    keep_dead: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Dead events of one webhook that are kept; the oldest go first.")
    ] = 10_000


class Egress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server itself may connect to. Public addresses are allowed; all others only where they are named."""

    allow: Annotated[
        tuple[str, ...],
        Meta(
            description="Hosts, addresses and networks that are no public ones and may be connected to all the same, "
            "each with a port or without: `idp.lan`, `10.1.0.0/16`, `127.0.0.1:8443`."
        ),
    ] = ()
    ca: Annotated[
        str, Meta(description="Authorities (PEM file) that are trusted beside the system's when it connects by TLS.")
    ] = ""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All sections that the registry reads."""

    registry: Registry = msgspec.field(default_factory=Registry)
    auth: Auth = msgspec.field(default_factory=Auth)
    storage: Storage = msgspec.field(default_factory=Storage)
    limits: Limits = msgspec.field(default_factory=Limits)
    quotas: Quotas = msgspec.field(default_factory=Quotas)
    audit: Audit = msgspec.field(default_factory=Audit)
    gc: Gc = msgspec.field(default_factory=Gc)
    jobs: Jobs = msgspec.field(default_factory=Jobs)
    lifecycle: Lifecycle = msgspec.field(default_factory=Lifecycle)
    undo: Undo = msgspec.field(default_factory=Undo)
    events: Events = msgspec.field(default_factory=Events)
    webhooks: Webhooks = msgspec.field(default_factory=Webhooks)
