"""The clock/queue door: what is done later comes in here, as rows.

    handlers   kind of job → the room's function, how stubborn it is tried, how often by itself
    worker     claims what is due, runs it, says what came of it
    work       a job as its handler sees it: payload, progress, and a database that refuses a worker without a lease

Effects are done at least once and count once: a job is a row written with its cause and removed with its completion;
in between any process may die at any point. Imports rooms, as the other doors do; no door imports it.
"""
