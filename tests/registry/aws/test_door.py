"""The door, called by real AWS clients."""

import registry.sts  # noqa: F401  # enters its operations


async def test_sts_says_who_asks(serve):
    server = await serve()

    answer = await server.call("sts", "get_caller_identity")

    assert answer["UserId"] == answer["Account"] == "111122223333"
    assert answer["Arn"] == "arn:aws:iam::111122223333:root"
    assert answer["ResponseMetadata"]["RequestId"] == "00000000-0000-4000-8000-000000000001"
