"""The doors of voice platforms: HTTP, VoiceXML, FastAGI.

A call is the same whatever the platform: each door turns what its platform says into a request for
the handlers of `call.*`, and their flat answer into what its platform understands.  No door decides
anything.
"""
