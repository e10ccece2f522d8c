"""What a user asks for, each told from its inputs to its page."""
