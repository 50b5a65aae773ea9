"""`longshore doctor`: whether an installation works from end to end, and what to do where it does not.

    examination   every look, one after another
    data          settings' data directory: disk, database, and the store of each region
    outside       what clients meet: TLS, host names, the running server

What a look writes it takes away again, and nothing else is changed; it works beside a running server and without one.
"""
