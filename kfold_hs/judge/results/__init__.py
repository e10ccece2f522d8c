"""What a run, a comparison or a search comes to, as it is kept in JSON."""
