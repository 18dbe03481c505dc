"""Which faults do users of trading systems report most, and does this system stand them? One module for each."""
