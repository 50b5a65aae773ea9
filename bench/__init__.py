"""Longshore beside its peers, in one run: `make bench`, or `python bench/compare.py --help`.

compare     the run: start everything, every load in turn on every server, print, write docs/performance.md
loads       what is measured, one entry for each path
servers     the programs under load: Longshore, the registries found on this machine, nginx as the floor for blobs
crowds      many clients at once, for what memory they take
on_s3       the same where bytes lie in a bucket
engine      whole pushes and pulls
dockerd     a dockerd of one's own; the tests use it too
load        requests as fast as they are answered, over many connections
wire        one connection and one request at a time; pushes
machine     cores, processor time and memory of processes
report      medians, ratios, tables
nightly     by itself: jobs, and a night of lifecycle policies over a million images
lifecycle   by itself: how long one lifecycle decision takes
decisions   by itself: how long the policy evaluator takes

Only loopback is used, every load ends by itself, and everything that was started is stopped by its process id.
"""
