"""The gateway: what did callers ask, and what answer do they get?"""
