"""Statistics of returns: how volatile is a symbol, and how much do two of them move as one?

Nothing here is on the path of an order. A fit takes milliseconds to seconds, and importing these modules about a
second: a process that decides must not import them. They silence the warnings of the libraries below them while they
run, and the filter of warnings belongs to the whole process, so two threads must not fit at the same time.
"""
