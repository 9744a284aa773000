"""Waiting outside of a worker slot."""
