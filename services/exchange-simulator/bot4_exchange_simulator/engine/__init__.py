"""What does a venue do with an order? A matching engine for many accounts and symbols, without clock, chance or I/O.

`engine.Engine` decides, in whole ticks and lots; `lines.run` speaks to it in lines of JSON; `profile.shipped` says how
one venue differs from another. The numbers in comments are those of the rules of order semantics.
"""
