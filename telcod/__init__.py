"""telcod: a mobile operator's short-code service, with receiver-pays and online payment.

`telcod.app` is the composition root; everything else takes what it needs as arguments.
"""

__version__ = "0.1.0"
