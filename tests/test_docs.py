"""What the documentation shows is what the product accepts."""

import json
import re
import time
from pathlib import Path
from typing import Any

from policies.lifecycle import parse
from policies.lifecycle_rules import MAX_DESCRIPTION, MAX_RULES, MAX_TEXT
from registry import webhook_signing

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = (DOCS / "lifecycle-rules.md").read_text(encoding="utf-8")


def test_the_rules_of_the_lifecycle_page_are_accepted() -> None:
    rules = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    kept = [rule for rule in rules if rule["action"]["type"] == "keep"]

    assert len(rules) >= 2
    assert kept
    for rule in rules:
        assert parse(json.dumps({"rules": [rule]}), extensions=rule in kept)


def test_the_limits_of_the_lifecycle_page_are_those_that_hold() -> None:
    assert f"{MAX_RULES} rules and {MAX_TEXT:,} characters" in PAGE
    assert f"at most {MAX_DESCRIPTION} characters" in PAGE


def test_each_decision_has_a_number_of_its_own() -> None:
    files = sorted((DOCS / "decisions").glob("0*.md"))
    headings = [file.read_text(encoding="utf-8").partition("\n")[0] for file in files]

    assert [file.name[:4] for file in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    assert [heading.split()[1] for heading in headings] == [f"{number}." for number in range(1, len(files) + 1)]


def test_the_receiver_of_the_events_page_knows_who_sent_what() -> None:
    page = (DOCS / "events.md").read_text(encoding="utf-8")
    [source] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [example] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    found: dict[str, Any] = {}
    exec(compile(source, "events.md", "exec"), found)  # the page's own
    secret, body, now = webhook_signing.new_secret(), example.encode(), int(time.time())
    good, old = (webhook_signing.headers(secret, "id", at, body) for at in (now, now - 3600))
    verify, shown = found["verify"], webhook_signing.shown(secret)

    assert verify(good, body, shown)
    assert verify({**good, "webhook-signature": f"v1,other {good['webhook-signature']}"}, body, shown)
    assert not verify(good, body + b" ", shown)
    assert not verify(old, body, shown)
    assert not verify({**good, "webhook-id": "other"}, body, shown)
    assert not verify(good, body, webhook_signing.shown(webhook_signing.new_secret()))
    assert webhook_signing.parse(shown + "\n") == secret
