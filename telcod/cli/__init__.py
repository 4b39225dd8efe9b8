"""The command line: click commands over the daemon's control socket, or over the file itself.

`root.py` has the commands' tree; what a command does to the books goes through `books.Books`.
"""
