"""Texts that programs have stumbled over, and any others."""

from typing import Final

from hypothesis import strategies as st

HOSTILE: Final = (
    "", " ", ".", "..", "../../x", "a/../b", "a//b", "/", "%2e%2e%2f", "%00", "%", "%zz", "\x00", "\n", "\r\n", "\t",
    "null", "None", "true", "0", "-1", "1e9", "9" * 30, "0x10", "NaN", "' or 1=1--", '";--', "*", "?", "[", "${a}",
    "{{7*7}}", "<script>", "\ud800", "é", "\u202e", "\U0001f600", "a" * 129, "a" * 257, "a" * 3000, "sha256:",
    "sha256:" + "0" * 63, "sha256:" + "0" * 64, "SHA256:" + "0" * 64, "sha512:" + "0" * 128, "md5:" + "0" * 32,
    "sha256:../../x", "a" * 64, "-a", "_a", "A", "a__b", "a___b", "a-", "000000000000", "999999999999", "us-east-1",
    "arn:aws:ecr:us-east-1:000000000000:repository/fuzz-a", "arn:aws:iam::000000000000:root", "arn::::::",
)  # fmt: skip

hostile: Final = st.sampled_from(HOSTILE)
anything: Final = st.one_of(hostile, st.text(max_size=40))
