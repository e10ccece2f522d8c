"""kfold-hs: K-fold cross-validation of heart-sound classifiers that can be trusted.

The stories a user can ask for live in `kfold_hs.workflows.cross_validation`; the command line
in `kfold_hs.cli.main` only parses, calls one of them and prints.
"""

from kfold_hs.openmp import wait_briefly

__version__ = "0.1.0"

wait_briefly()  # before anything loads torch, which asks once
