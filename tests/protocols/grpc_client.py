"""Calls of every shape, with what gRPC puts into trailers. GATE is host and port; with ROOTS it is spoken to over TLS. Without TOKEN
it is the service itself."""
import os
import queue

import grpc

gate, roots, token = (os.environ.get(name) for name in ("GATE", "ROOTS", "TOKEN"))
account = b"app" if token else b"nobody"
first = [("authorization", f"Bearer {token}")] if token else []


def open_channel():
    if not roots:
        return grpc.insecure_channel(gate)
    with open(roots, "rb") as file:
        credentials = grpc.ssl_channel_credentials(file.read())
    return grpc.secure_channel(gate, credentials, [("grpc.ssl_target_name_override", "gate.test")])


def fails_with(code, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), code, error)
        return error
    raise AssertionError(f"{code} was expected")


channel = open_channel()
unary = channel.unary_unary("/test.Echo/Unary")
server_stream = channel.unary_stream("/test.Echo/ServerStream")
client_stream = channel.stream_unary("/test.Echo/ClientStream")
both_ways = channel.stream_stream("/test.Echo/BothWays")
fails = channel.unary_unary("/test.Echo/Fails")
fails_later = channel.unary_stream("/test.Echo/FailsLater")
waits = channel.unary_stream("/test.Echo/Waits")
has_ended = channel.unary_unary("/test.Echo/HasEnded")
usual = {"metadata": first, "timeout": 20}

# One question, one answer; metadata both ways.
answer, call = unary.with_call(b"hello", metadata=[*first, ("x-first", "mine"), ("x-more-bin", b"\x01\xfe")], timeout=20)
assert answer == b"hello for " + account, answer
assert ("x-first", "mine") in call.initial_metadata(), call.initial_metadata()
last = {pair.key: pair.value for pair in call.trailing_metadata()}
assert (last["x-last"], last["x-last-bin"]) == ("of unary", b"\x00\xff"), last
assert call.code() is grpc.StatusCode.OK

# Messages larger than a window, and many at once.
large = b"x" * (3 << 20)
assert unary(large, **usual) == large + b" for " + account
assert [future.result() for future in [unary.future(b"%d" % n, **usual) for n in range(50)]] == [
    b"%d for " % n + account for n in range(50)
]

# Streams: from the server, from the client, both.
stream = server_stream(b"1000", **usual)
assert list(stream) == [b"%d" % n for n in range(1000)]
assert ("x-last", "of a stream") in stream.trailing_metadata(), stream.trailing_metadata()
assert list(server_stream(b"0", **usual)) == []
assert client_stream(iter([b"x" * 1000] * 500), **usual) == b"500000"
assert client_stream(iter([]), **usual) == b"0"
said = queue.Queue()
talk = both_ways(iter(said.get, None), **usual)
for n in range(20):
    said.put(b"%d" % n)
    assert next(talk) == b"heard %d" % n
said.put(None)
assert list(talk) == [] and talk.code() is grpc.StatusCode.OK

# Failures keep their code, their words and their metadata.
for name in ("NOT_FOUND", "INTERNAL", "UNAUTHENTICATED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"):
    error = fails_with(grpc.StatusCode[name], lambda: fails(name.encode(), **usual))
    assert error.details() == "it said: ß, 100 %", error.details()
    assert ("x-last", "of a failure") in error.trailing_metadata(), error.trailing_metadata()
stream = fails_later(b"", **usual)
assert next(stream) == b"first"
assert fails_with(grpc.StatusCode.DATA_LOSS, lambda: next(stream)).details() == "after one"
fails_with(grpc.StatusCode.UNIMPLEMENTED, lambda: channel.unary_unary("/test.Echo/Nothing")(b"", **usual))

# A call that is given up ends at the service: by its caller, and by its deadline.
call = waits(b"given up", **usual)
assert next(call) == b"begun"
call.cancel()
assert has_ended(b"given up", **usual) == b"yes"
call = waits(b"too late", metadata=first, timeout=0.5)
assert next(call) == b"begun"
fails_with(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: next(call))
assert has_ended(b"too late", **usual) == b"yes"

if token:
    # gRPC makes codes of the statuses of HTTP: 401 and 403.
    fails_with(grpc.StatusCode.UNAUTHENTICATED, lambda: unary(b"", timeout=20))
    fails_with(grpc.StatusCode.PERMISSION_DENIED, lambda: channel.unary_unary("/test.Other/Unary")(b"", **usual))
print("ok")
