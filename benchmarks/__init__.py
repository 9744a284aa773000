"""
Measure whether this package is faster, leaner and thriftier than its peers.

``make bench`` runs them against a sandbox org in a process of its own. A target that is missed
is shown, and the exit status stays 0: these are measurements, not tests.
"""
