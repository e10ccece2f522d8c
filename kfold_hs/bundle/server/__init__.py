"""A bundle behind HTTP: the same rows as `predict`, and a page to drop recordings on."""
