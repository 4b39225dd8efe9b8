"""The HTTP door: routes, tokens, problems, and the server on a TCP port and the control socket.

Routes turn a call into a `Request` and an `Answer` into JSON; behind them is `ports.Backend`.
"""
