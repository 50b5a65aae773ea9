"""Decides. Texts and values come in, decisions go out: no input or output, no clock, nothing but the standard library.

    jsontext    JSON from outside, with one reading or refused
    documents   a policy's text -> Policy(statements), or PolicyInvalid naming the JSON path
    elements    how an element of a policy is read and refused
    principals  who a statement is about
    conditions  the Condition element
    access      a request and all policies -> Decision
    statements  one statement, asked: does it speak of this request?
    callers     who asks, and by which of their names a statement means them
    operators   how a condition is decided
    variables   `${aws:username}`, and the condition keys of a request
    values      numbers, times, addresses and bytes as conditions write them
    lint        what is lawful in a policy and probably not meant
    wildcards   `*` and `?` against a whole string, in bounded time
    filters     whether a tag may move
    lifecycle   a lifecycle policy and a repository's images -> what expires, what goes to the archive, and why
    lifecycle_rules   a lifecycle policy's text -> Policy(rules), or Malformed
    lifecycle_claims  which rule has which image, and whether it is beyond the rule's bound
    lifecycle_ties    what needs what among the images: indexes and parts, subjects and referrers

Everything above may import these modules; they import only each other.
"""
