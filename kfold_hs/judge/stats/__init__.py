"""How sure a score is: variances, intervals, tests, sample sizes."""
