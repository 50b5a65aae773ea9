"""What holds of decisions whatever the policies are.

A Deny always wins (P10); what is added to a policy as an Allow takes nothing away, and what is added as a Deny gives
nothing; order and place within a layer mean nothing; every layer but identity and resource policies only takes away.
"""

import dataclasses
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from policies.access import Decision, Policies, Request, evaluate
from tests.policies.asking import BOB, HERE, OURS, PULL, allow, source
from tests.policies.reference import KEYS, LAYERS, Dice, real

Json = dict[str, Any]
Case = tuple[Request, Policies]

SEEDS = st.integers(0, 2**32)
CASES = SEEDS.map(lambda seed: real(Dice(seed).case()))


def statement(seed: int, effect: str, form: str) -> Any:
    """A policy of one random statement of that effect."""
    found = Dice(seed).statement(form, deny=0.0 if effect == "Allow" else 1.0)
    return source(found, form=form)  # type: ignore[arg-type]


def decided(case: Case, **changes: Any) -> Decision:
    found = evaluate(case[0], dataclasses.replace(case[1], **changes))
    assert not found.error
    return found


def layer(case: Case, name: str) -> tuple[Any, ...]:
    return getattr(case[1], name) or ()


@given(CASES, st.sampled_from(LAYERS))
def test_a_deny_of_everything_wins_in_every_layer(case: Case, name: str) -> None:
    everything: Json = {"Effect": "Deny", "Action": "*"}
    whole = {"Principal": "*"} if name == "resource" else {"Resource": "*"}
    deny = source(everything | whole, form="resource" if name == "resource" else "identity")

    assert decided(case, **{name: (*layer(case, name), deny)}).kind == "explicitDeny"
    assert decided(case, **{name: (deny, *layer(case, name))}).kind == "explicitDeny"
    assert decided(case, scps=(*case[1].scps, (deny,)) if name != "resource" else ((),)).kind != "allowed"


@given(CASES, SEEDS, st.sampled_from(LAYERS))
def test_an_allow_that_is_added_takes_nothing_away(case: Case, seed: int, name: str) -> None:
    assume(layer(case, name) or name in ("identity", "resource"))
    more = statement(seed, "Allow", "resource" if name == "resource" else "identity")
    before, after = decided(case), decided(case, **{name: (*layer(case, name), more)})

    assert not before.allowed or after.allowed
    assert (before.kind == "explicitDeny") is (after.kind == "explicitDeny")


@given(CASES, SEEDS, st.sampled_from(LAYERS))
def test_a_deny_that_is_added_gives_nothing(case: Case, seed: int, name: str) -> None:
    assume(layer(case, name) or name in ("identity", "resource"))
    more = statement(seed, "Deny", "resource" if name == "resource" else "identity")
    before, after = decided(case), decided(case, **{name: (*layer(case, name), more)})

    assert before.allowed or not after.allowed
    assert after.kind in (before.kind, "explicitDeny")


@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_policies_means_nothing(case: Case, chance: Any) -> None:
    shuffled: Json = {}
    for name in LAYERS:
        listed = list(layer(case, name))
        chance.shuffle(listed)
        shuffled[name] = tuple(listed) if getattr(case[1], name) is not None else None
    levels = list(case[1].scps)
    chance.shuffle(levels)
    before, after = decided(case), decided(case, **shuffled, scps=tuple(levels))

    assert (before.kind, before.missing, before.clause) == (after.kind, after.missing, after.clause)
    assert before.absent_keys == after.absent_keys


@given(SEEDS, st.randoms(use_true_random=False))
def test_the_order_of_statements_and_their_spread_over_policies_mean_nothing(seed: int, chance: Any) -> None:
    """Statements of one version may stand in one policy or in one each."""
    case = Dice(seed).case()
    for name in LAYERS:
        for document in case["layers"][name] or []:
            document["Version"] = "2012-10-17"
    before = evaluate(*real(case))
    for name in LAYERS:
        if case["layers"][name] is not None:
            statements = [each for document in case["layers"][name] for each in document["Statement"]]
            chance.shuffle(statements)
            case["layers"][name] = [{"Version": "2012-10-17", "Statement": [each]} for each in statements]
    after = evaluate(*real(case))

    assert (before.kind, before.missing, before.clause) == (after.kind, after.missing, after.clause)


@given(CASES)
def test_boundary_session_and_service_control_policies_only_take_away(case: Case) -> None:
    free = decided(case, boundary=None, session=None, scps=())

    assume(case[0].caller.kind != "federated-user")
    assert free.allowed or not decided(case).allowed


@given(CASES)
def test_a_boundary_that_allows_everything_is_no_boundary(case: Case) -> None:
    wide = (source(allow()),)
    plain, widened = decided(case, boundary=None), decided(case, boundary=wide)

    assert (plain.kind, plain.missing) == (widened.kind, widened.missing)


@given(CASES, st.sampled_from(KEYS), st.sampled_from([None, "x", "10", "true", ("x", "y"), ()]))
def test_a_decision_depends_on_no_key_that_was_not_looked_at(case: Case, name: str, value: Any) -> None:
    request, given_policies = case
    found = decided(case)
    assume(name.casefold() not in found.asked_keys)
    others = {key: each for key, each in request.context.items() if key != name}
    changed = dataclasses.replace(request, context=others if value is None else {**others, name: value})

    assert evaluate(changed, given_policies) == found


@given(CASES)
def test_a_decision_hangs_together(case: Case) -> None:
    found = decided(case)
    denies = [each for each in found.matched if each.effect == "Deny"]

    assert found.allowed is (found.kind == "allowed")
    assert bool(denies) is (found.kind == "explicitDeny")
    assert bool(found.missing) is (found.kind == "implicitDeny")
    assert bool(found.clause) is not found.allowed
    assert all(each.effect == ("Allow" if found.allowed else "Deny") for each in found.deciding)
    assert found == decided(case)


@given(CASES)
def test_what_is_missing_is_what_would_help(case: Case) -> None:
    """Where each layer that is named gets an Allow of everything, the request is allowed."""
    found = decided(case)
    assume(found.kind == "implicitDeny")
    wide = source(allow())
    everyone = source({"Effect": "Allow", "Principal": "*", "Action": "*"}, form="resource")
    wider: Json = {
        "scp": tuple((*level, wide) for level in case[1].scps),
        "resource": (*case[1].resource, everyone),
        **{name: (*layer(case, name), wide) for name in ("identity", "boundary", "session")},
    }

    fields = {"scp": "scps"}
    assert decided(case, **{fields.get(name, name): wider[name] for name in found.missing}).allowed


@given(CASES)
def test_without_policies_only_the_root_may(case: Case) -> None:
    nothing = evaluate(case[0], Policies())
    at_home = case[0].caller.account == case[0].resource_account

    assert nothing.allowed is (case[0].caller.kind == "root" and at_home)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.lists(st.text(max_size=3)).map(tuple), max_size=4))
def test_any_keys_are_decided_or_denied(context: Json) -> None:
    request = Request(caller=BOB, action=PULL, resource=OURS, resource_account=HERE, context=context)
    found = evaluate(request, Policies(identity=(source(allow()),)))

    assert found.allowed is (len({name.casefold() for name in context}) == len(context))
    assert bool(found.error) is not found.allowed
