"""Which fold model is trained where; nothing in `learn/` or `judge/` knows."""
