"""The registry: what Longshore does with images.

Floors, top to bottom; each may import only what stands below it (`pyproject.toml` holds the contract):

    v2  ecr  sts  iam  jobs             doors: translate and authorize; and the clock's
    aws                                 AWS on the wire, for every AWS door
    lifecycle archived_bytes webhooks   rooms that go through others: policies, the archive's bytes, who is told
    undelete chores emptying ...
    repositories images layers ...      rooms: act
    undo history                        what deletes and tags leave behind, for the rooms above
    accounts roles sessions ...         rooms of who there is
    context                             what a room needs: Deps, and Context for one request
    audit reactions                     what is on record, and what follows from a fact
    auth                                who is asking, and may they
    records  storage  remote            rows, bytes, the one way out
    allowance manifests hosts ...       pure readings and decisions
    events model                        what happened, and rows, as values
    errors names                        words
"""
