"""Coroutines wait for locks on a replica set as for those in a file: the same tests."""

from test_coroutines import *

# Those that ask at once have no order on a replica set: each is as early as its first write there.
del test_200_waiters_of_one_loop_are_served_in_their_order_and_take_no_thread  # noqa: F821
# It stops the server of a file.
del test_the_loop_goes_on_while_the_first_lock_begins_the_session  # noqa: F821
