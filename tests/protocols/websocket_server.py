"""Echoes every message. The subprotocol `path` gets the request's target first."""
import asyncio
import logging

from websockets.asyncio.server import serve


async def echo(connection):
    if connection.subprotocol == "path":
        await connection.send(connection.request.path)
    async for message in connection:
        await connection.send(message)


# What clients do wrong here they do on purpose.
logging.disable()


def select(connection, offered):
    return "path" if "path" in offered else None


async def main():
    options = {"max_size": 64 << 20, "ping_interval": None, "select_subprotocol": select, "close_timeout": 2}
    async with serve(echo, "127.0.0.1", 0, **options) as server:
        print(f"listening at {server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


asyncio.run(main())
