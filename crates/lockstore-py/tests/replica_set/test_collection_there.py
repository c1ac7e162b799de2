"""Collections are on a replica set as in a file: the same tests."""

from test_collection import *
