"""The command line of bot4: start a system, trade on it, look into it, break it and prove it whole."""
