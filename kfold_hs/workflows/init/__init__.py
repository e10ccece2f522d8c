"""From a user's table or folder to a study file: what it means, guessed and asked."""
