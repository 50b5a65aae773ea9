"""Decides. Texts and values come in, decisions go out: no input or output, no clock, nothing but the standard library.

    jsontext    JSON from outside, with one reading or refused
    documents   a policy's text -> Policy(statements), or PolicyInvalid naming the JSON path
    elements    how an element of a policy is read and refused
    principals  who a statement is about
    conditions  the Condition element
    wildcards   `*` and `?` against a whole string, in bounded time
    filters     whether a tag may move

Everything above may import these modules; they import only each other.
"""
