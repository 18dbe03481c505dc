"""The journal: the whole story in one order, kept, projected and audited."""
