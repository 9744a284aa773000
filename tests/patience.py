"""How long tests wait for what must happen: minutes, since a busy machine with two cores is slow."""

PATIENCE = 180.0  # seconds
