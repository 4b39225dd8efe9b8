"""SMPP v3.4: codec, framing and session are pure; only the link driver touches a socket."""
