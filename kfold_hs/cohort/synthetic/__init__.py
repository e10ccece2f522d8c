"""The built-in cohort: simulated people."""
