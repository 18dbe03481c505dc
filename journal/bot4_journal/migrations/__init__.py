"""How do the tables of an older version become those of this one? One numbered file in `versions` per change.

They live inside the package so that every way of installing it finds them.
"""

# The newest of them.
HEAD = "0003"
