"""`longshore storage make-buckets`."""

import json

from tests.s3_servers import TestBucket


def test_buckets_are_made_where_there_are_none(cli, s3_service, bucket):
    missing = TestBucket(s3_service, bucket.name + "-new")

    first = cli("storage", "make-buckets", "--output", "json", **missing.environment())
    again = cli("storage", "make-buckets", **missing.environment())

    assert json.loads(first.out) == [{"bucket": f"s3://{missing.name}/ at {s3_service.url}", "made": True}]
    assert again.out == f"s3://{missing.name}/ at {s3_service.url} is there\n"
    assert missing.all_keys() == []


def test_a_key_that_may_not_is_told_of(cli, bucket):
    ended = cli("storage", "make-buckets", **bucket.environment(secret_access_key="another-secret-than-the-real-one"))

    assert ended.code == 1
    assert "head_bucket" in ended.err


def test_where_no_bucket_is_set_up_nothing_is_made(cli):
    ended = cli("storage", "make-buckets")

    assert (ended.code, ended.out) == (1, "")
    assert "storage.kind is disk" in ended.err
