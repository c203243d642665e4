"""A gRPC service of every shape, without generated stubs: messages are bytes. It remembers which calls were cancelled."""
import threading
import time
from concurrent import futures

import grpc

cancelled = set()


def metadata(context):
    return {key: value for key, value in context.invocation_metadata()}


def unary(request, context):
    sent = metadata(context)
    context.send_initial_metadata((("x-first", sent.get("x-first", "none")),))
    context.set_trailing_metadata((("x-last", "of unary"), ("x-last-bin", b"\x00\xff")))
    return request + b" for " + sent.get("x-portcullis-account", "nobody").encode()


def server_stream(request, context):
    for number in range(int(request)):
        yield b"%d" % number
    context.set_trailing_metadata((("x-last", "of a stream"),))


def client_stream(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def both_ways(requests, context):
    # Answers each before the next arrives: nothing on the way may wait for the end of either side.
    for request in requests:
        yield b"heard " + request


def fails(request, context):
    context.set_trailing_metadata((("x-last", "of a failure"),))
    context.abort(grpc.StatusCode[request.decode()], "it said: ß, 100 %")


def fails_later(request, context):
    yield b"first"
    context.abort(grpc.StatusCode.DATA_LOSS, "after one")


def waits(request, context):
    gone = threading.Event()
    context.add_callback(gone.set)
    yield b"begun"
    if gone.wait(20):
        cancelled.add(request)


def has_ended(request, context):
    until = time.monotonic() + 10
    while request not in cancelled and time.monotonic() < until:
        time.sleep(0.01)
    return b"yes" if request in cancelled else b"no"


HANDLERS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
    "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
    "BothWays": grpc.stream_stream_rpc_method_handler(both_ways),
    "Fails": grpc.unary_unary_rpc_method_handler(fails),
    "FailsLater": grpc.unary_stream_rpc_method_handler(fails_later),
    "Waits": grpc.unary_stream_rpc_method_handler(waits),
    "HasEnded": grpc.unary_unary_rpc_method_handler(has_ended),
}

server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", HANDLERS),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
print(f"listening at {port}", flush=True)
server.wait_for_termination()
