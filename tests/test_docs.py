"""What the documentation shows is what the product accepts."""

import json
import re
from pathlib import Path

from policies.lifecycle import parse
from policies.lifecycle_rules import MAX_DESCRIPTION, MAX_RULES, MAX_TEXT

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "lifecycle-rules.md").read_text(encoding="utf-8")


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
