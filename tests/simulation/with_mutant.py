"""A plugin for pytest: the tests run with the mechanism taken out that TOVEIS_MUTANT names."""

import os

from tests.simulation.mutants import MUTANTS

MUTANTS[os.environ["TOVEIS_MUTANT"]]().__enter__()
