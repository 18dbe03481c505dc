"""What every service of bot4 shares: the language, the log, the loop and the trade's arithmetic."""
