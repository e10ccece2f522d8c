"""The patients who are told worst: who they are, what they sound like, what the model looked at.

`exhibit` puts it together, `picture` and `sound` make files that a page can hold.
"""
