"""Every table: one module for each thing that rows are about.

columns        what all are built of: kinds of columns, the metadata
installation   what holds for the whole installation, and settings of accounts
identities     who may act
images         repositories and what is in them
keeping        what is kept for how long: lifecycle policies, images in use, pulls, what was deleted, tag history
listeners      who is told of events, and what waits to be told
work           what the house does by itself, what was done, what is to be done

Images hang on a repository's `id`, which hangs on (account, region); rows of a deleted repository go with it by
cascade. Who may act hangs on an account alone, as IAM is global: users, groups and roles are rows of one table, since
they have names, paths, policies and tags alike. Their ids are AWS's unique ids and never used again, so whatever names
an id ends with the entity and means nobody else later. Names, tags and digests compare by bytes on every database, so
that order and paging agree.
"""
