"""What reviewers ask of a paper on a run, in four formats from one content."""
