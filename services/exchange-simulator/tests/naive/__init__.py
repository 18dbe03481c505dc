"""What would a venue do, if it had all the time in the world? The rules of the venue, one small function each.

Everything is a plain list, sorted anew whenever an order is needed, and every sum is added up again whenever it is
asked for. It is far too slow to trade on and short enough to check by reading; the real engine must agree with it.
"""
