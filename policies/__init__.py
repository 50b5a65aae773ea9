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

Everything above may import these modules; they import only each other.
"""
