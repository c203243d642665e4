"""Reads connections, each four bytes of length and then its bytes, and says what h11 finds in each: a line of JSON,
a list of requests, and after them what kept it from reading on, if anything did."""
import json
import struct
import sys

import h11

ANSWER = h11.Response(status_code=204, headers=[])


def readings(data):
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=256 * 1024)
    connection.receive_data(data)
    connection.receive_data(b"")
    found = []
    request, body = None, b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            return found, str(error) if request is None else "cut"
        if isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            found.append(
                {
                    "method": request.method.decode("latin-1"),
                    "target": request.target.decode("latin-1"),
                    "headers": [[n.decode("latin-1"), v.decode("latin-1")] for n, v in request.headers],
                    "body": body.decode("latin-1"),
                }
            )
            request = None
            connection.send(ANSWER)
            connection.send(h11.EndOfMessage())
        elif event is h11.PAUSED:
            connection.start_next_cycle()
        else:
            return found, None


while prefix := sys.stdin.buffer.read(4):
    (length,) = struct.unpack(">I", prefix)
    print(json.dumps(readings(sys.stdin.buffer.read(length))), flush=True)
