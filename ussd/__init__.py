"""USSD: the menu of `*1566#`, its sessions, and a dialect for each gateway convention (USSD-1…4).

`menu` says what a screen shows and where an input leads; `sessions` runs one step inside the
transaction of the handler that it leads to; `steps` is what every dialect says and gets.  The other
files are dialects: `http` (JSON), `gateways` (what other gateways post, as data), `smpp`, `mqtt`,
and `push`, for what nobody asked for.
"""
