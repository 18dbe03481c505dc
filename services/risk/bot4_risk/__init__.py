"""Risk: may this account take this order?"""
