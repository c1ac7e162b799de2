"""Coroutines wait for locks on a replica set as for those in a file: the same tests."""

from test_coroutines import *
