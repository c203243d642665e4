"""Two calls through the gate at GATE that go on both ways: one by TOKEN, whose right is taken away, and one by KEPT. They share a
connection. Says `open`, and then what it saw."""
import os
import queue

import grpc

PATIENCE = 20
channel = grpc.insecure_channel(os.environ["GATE"])
both_ways = channel.stream_stream("/test.Echo/BothWays")
unary = channel.unary_unary("/test.Echo/Unary")


def metadata(token):
    return [("authorization", f"Bearer {os.environ[token]}")]


class Call:
    def __init__(self, token):
        self.questions = queue.Queue()
        self.answers = both_ways(iter(self.questions.get, None), metadata=metadata(token), timeout=PATIENCE)

    def asks(self, text):
        self.questions.put(text)
        assert next(self.answers) == b"heard " + text


leaked, kept = Call("TOKEN"), Call("KEPT")
for call in (leaked, kept):
    call.asks(b"hello")
print("open", flush=True)
try:
    next(leaked.answers)
except grpc.RpcError as error:
    # Its right is gone, or the stream was reset; not that the time was over, and not that it was done.
    wrong = (grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED)
    print(f"wrong {error.code()}" if error.code() in wrong else "ended")
try:
    unary(b"again", metadata=metadata("TOKEN"), timeout=PATIENCE)
except grpc.RpcError as error:
    print(f"again {error.code().name}")
kept.asks(b"still here")
kept.questions.put(None)
assert list(kept.answers) == []
print("the other goes on")
