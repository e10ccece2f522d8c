"""What `import kfold_hs` gives: cohorts, calls that train or compare, reports; `docs/python.md`.

Nothing here computes: it names what a user brings and gets, and calls a workflow.
"""
