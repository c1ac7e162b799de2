"""Processes that end, fork and are interrupted do so with a replica set as with a file: the same tests."""

from test_processes import (  # noqa: F401
    test_a_forked_child_is_told_so_and_opens_the_store_anew,
    test_a_program_ends_while_a_loop_of_its_own_has_waits,
    test_a_program_ends_while_others_of_its_threads_wait,
    test_a_signal_that_is_handled_costs_no_place_in_the_queue,
    test_ctrl_c_ends_a_wait_and_the_place_in_the_queue,
    test_processes_that_are_started_in_any_way_keep_each_other_out,
)
