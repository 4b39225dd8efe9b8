"""Busy routes without a socket: an application that asks a shortcut first, as the protocol does."""

import asyncio

from telcod.web.shortcut import Shortcut


class ByShortcut:
    """An application behind the shortcut of these routes."""

    def __init__(self, app, *finders):
        self._app = app
        self._shortcut = Shortcut(app, *finders)

    async def __call__(self, scope, receive, send):
        path = scope["raw_path"].decode("latin-1")
        headers = dict(scope["headers"])
        fast = self._shortcut.find(path) if scope["method"] == "POST" and "%" not in path else None
        if fast is None or headers.get(b"content-type") != b"application/json":
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        body = b"".join(message["body"] for message in messages)
        await self._app.state.tokens.find("")  # Those that are in use are known from now on.
        answer = asyncio.get_running_loop().create_future()

        def answered(*what):
            answer.set_result(what)

        authorization = headers.get(b"authorization", b"")
        if not self._shortcut.carry_out(fast, authorization, body, scope, answered):

            async def again():
                return messages.pop(0) if messages else await receive()

            await self._app(scope, again, send)
            return
        status, body, kind, more = await answer
        fields = {"content-type": kind, "content-length": str(len(body)), **more}
        fields_raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": status, "headers": fields_raw})
        await send({"type": "http.response.body", "body": body})
