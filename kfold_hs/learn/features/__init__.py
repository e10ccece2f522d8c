"""From audio to log-mel features, computed once and kept."""
