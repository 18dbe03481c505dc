"""The exchange simulator: the venue's truth, and the feed a client of the venue sees of it."""
