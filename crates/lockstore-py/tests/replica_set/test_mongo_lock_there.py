"""Locks of documents are on a replica set as in a file: the same tests, with jobflow-remote's own lock on the same documents."""

from test_mongo_lock import *

# The figures of a replica set do not tell who waits for a document: `test_together.py` has this one in its own way.
del test_who_waits_is_woken_by_the_release_of_either  # noqa: F821
# A session ends by time there: `test_store.py` has that of locks.
del test_a_lock_that_ends_with_its_process_is_free_when_that_is_killed  # noqa: F821
