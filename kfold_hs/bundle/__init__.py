"""From a finished run to something one can use: a bundle, and what it says of new people."""
