"""Execution: what was sent to which venue, and what became of it?"""
