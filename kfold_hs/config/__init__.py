"""Settings: their types and bounds, and how files and overrides become them."""
