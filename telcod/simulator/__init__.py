"""Counterparts to play and test against: the other end of each of telcod's links."""
