"""What a WebSocket server has to get right (RFC 6455, RFC 7692), asked of an echo server directly and through the gateway: every case must
end the same way.

The cases are those of the usual conformance suites: frames of all sizes, whole and byte by byte; pings; reserved bits and
opcodes; fragments; UTF-8, valid or not; the closing handshake with every kind of code; large messages; compressed ones.
DIRECT and GATE are host and port, TOKEN is the gate's; ROOTS is set where the gate speaks TLS."""
import hashlib
import os
import socket
import ssl
import struct
import sys

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PATIENCE = 20


def frame(opcode, payload=b"", fin=True, rsv=0, masked=True):
    """A frame as a client sends it."""
    payload = payload.encode() if isinstance(payload, str) else payload
    head = bytes([fin << 7 | rsv << 4 | opcode])
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += struct.pack(">BH", bit | 126, size)
    else:
        head += struct.pack(">BQ", bit | 127, size)
    if not masked:
        return head + payload
    key = b"\x37\xfa\x21\x3d"
    repeated = int.from_bytes(key * (size // 4 + 1), "little") & ((1 << 8 * size) - 1)
    return head + key + (int.from_bytes(payload, "little") ^ repeated).to_bytes(size, "little")


def close(code=1000, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


def fragments(opcode, parts, between=()):
    """A message in parts, with other frames between them."""
    frames = []
    for number, part in enumerate(parts):
        frames.append(frame(opcode if number == 0 else 0, part, fin=number == len(parts) - 1))
        if number < len(parts) - 1:
            frames.extend(between)
    return frames


class Client:
    """One connection, on which anything may be sent."""

    def __init__(self, side):
        host, port = side["at"].rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if side["tls"]:
            self.socket = side["tls"].wrap_socket(self.socket, server_hostname="gate.test")
        lines = [
            "GET /echo HTTP/1.1", "Host: gate.test", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *side["headers"],
        ]
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode() + b"\r\n")
        self.pending = b""
        while b"\r\n\r\n" not in self.pending:
            self.more()
        head, _, self.pending = self.pending.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.heard, self.messages, self.message, self.kind = [], 0, b"", None
        assert b"sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=" in head.lower(), head

    def more(self):
        try:
            part = self.socket.recv(1 << 16)
        except ConnectionError:
            part = b""
        if not part:
            raise EOFError
        self.pending += part

    def take(self, count):
        while len(self.pending) < count:
            self.more()
        taken, self.pending = self.pending[:count], self.pending[count:]
        return taken

    def frame(self):
        first, second = self.take(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self.take(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.take(8))
        return first, second, self.take(size)

    def hear(self, messages=None):
        """Takes in all that comes until the end, or until there are so many messages: whole, however they were cut."""
        try:
            while messages is None or self.messages < messages:
                first, second, payload = self.frame()
                assert not second & 0x80 and not first & 0x70, (first, second)
                opcode = first & 0xF
                if opcode == CLOSE:
                    self.heard.append(("close", int.from_bytes(payload[:2], "big")))
                elif opcode in (PING, PONG):
                    self.heard.append((opcode, payload))
                else:
                    self.kind, self.message = opcode or self.kind, self.message + payload
                    if first & 0x80:
                        digest = hashlib.sha256(self.message).hexdigest()[:16]
                        self.heard.append((self.kind, len(self.message), digest))
                        self.messages, self.message = self.messages + 1, b""
        except EOFError:
            self.heard.append("end")

    def send(self, part, piece):
        try:
            for at in range(0, len(part), piece or len(part)):
                self.socket.sendall(part[at : at + (piece or len(part))])
        except OSError:
            pass  # It has had enough; what it said is heard below.


def framing_cases():
    for opcode in (TEXT, BINARY):
        byte = b"*" if opcode == TEXT else b"\xfe"
        for size in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537):
            yield f"{opcode} of {size}", [frame(opcode, byte * size), close()], 0
        for size in (126, 1000):
            yield f"{opcode} of {size}, byte by byte", [frame(opcode, byte * size), close()], 1
        for piece in (997, 4096):
            yield f"{opcode} in pieces of {piece}", [frame(opcode, byte * 65536), close()], piece
        for size in (1 << 20, 4 << 20):
            yield f"{opcode} of {size}", [frame(opcode, byte * size), close()], 0
            for part in (1 << 12, 1 << 16):
                parts = [byte * part] * (size // part)
                yield f"{opcode} of {size} in {part}", [*fragments(opcode, parts), close()], 0
        yield f"{opcode} 500 times", [*[frame(opcode, byte * n) for n in range(500)], close()], 0
    yield "not masked", [frame(TEXT, "a", masked=False)], 0
    yield "a length in more bytes than it takes", [b"\x81\xfe\x00\x01\x00\x00\x00\x00a", close()], 0
    yield "a length above 2^63", [b"\x82\xff" + b"\xff" * 8 + b"\x00\x00\x00\x00"], 0


def control_cases():
    for payload in (b"", b"Hello", b"\x00\xff\xfe", b"\xfe" * 125):
        yield f"ping {payload[:8]}", [frame(PING, payload), close()], 0
        yield f"ping {payload[:8]}, byte by byte", [frame(PING, payload), close()], 1
        yield f"pong {payload[:8]}", [frame(PONG, payload), close()], 0
    yield "ping of 126", [frame(PING, b"a" * 126)], 0
    yield "ten pings", [*[frame(PING, b"%d" % n) for n in range(10)], close()], 0
    yield "ten pings, byte by byte", [*[frame(PING, b"%d" % n) for n in range(10)], close()], 1
    yield "ping in two parts", [frame(PING, b"a", fin=False), frame(0, b"b")], 0
    for rsv in range(1, 8):
        yield f"rsv {rsv}", [frame(TEXT, "first"), frame(TEXT, "a", rsv=rsv)], 0
        yield f"rsv {rsv} of a ping", [frame(PING, b"a", rsv=rsv)], 0
        yield f"rsv {rsv} of a close", [frame(CLOSE, b"\x03\xe8", rsv=rsv)], 0
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        yield f"opcode {opcode}", [frame(TEXT, "first"), frame(opcode, b"a"), frame(PING, b"")], 0
        yield f"opcode {opcode}, empty", [frame(opcode)], 1


def fragment_cases():
    ping = frame(PING, b"between")
    for opcode in (TEXT, BINARY):
        for pieces in (0, 1):
            yield f"{opcode} in two, {pieces}", [*fragments(opcode, [b"a" * 100, b"b" * 100]), close()], pieces
            yield f"{opcode} around a ping, {pieces}", [*fragments(opcode, [b"a", b"b", b"c"], [ping]), close()], pieces
        yield f"{opcode} in empty parts", [*fragments(opcode, [b"", b"", b""]), close()], 0
        yield f"{opcode} with an end that is empty", [*fragments(opcode, [b"a", b""]), close()], 0
    yield "a part of nothing", [frame(0, b"a")], 0
    yield "a part of nothing, more to come", [frame(0, b"a", fin=False), frame(TEXT, "b")], 0
    yield "a part after the end", [*fragments(TEXT, [b"a", b"b"]), frame(0, b"c")], 0
    yield "a message within a message", [frame(TEXT, "a", fin=False), frame(TEXT, "b")], 0
    yield "a close within a message", [frame(TEXT, "a", fin=False), close(), frame(0, b"b")], 0


VALID = ["κόσμε", "\x00", "\u0080", "\u0800", "\U00010000", "\x7f", "\u07ff", "\uffff", "\U0010ffff", "\ud7ff", "\ue000", "\ufffd", "\ufeffa", "😀" * 50]
INVALID = [
    b"\x80", b"\xbf", b"\x80\xbf\x80", b"\xc0", b"\xe0", b"\xf0", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
    b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80", b"\xf4\x90\x80\x80",
    b"\xfe", b"\xff", b"\xfe\xfe\xff\xff", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", b"a" * 2000 + b"\xff",
]


def text_cases():
    for text in VALID:
        data = text.encode()
        yield f"utf-8 {data[:8]}", [frame(TEXT, data), close()], 0
        parts = [data[n : n + 1] for n in range(len(data))]
        yield f"utf-8 {data[:8]} in parts", [*fragments(TEXT, parts), close()], 0
        yield f"utf-8 {data[:8]}, byte by byte", [frame(TEXT, data), close()], 1
    for data in INVALID:
        yield f"not utf-8 {data[-8:]}", [frame(TEXT, data)], 0
        yield f"not utf-8 {data[-8:]} in parts", fragments(TEXT, [data[:1], data[1:]]), 0
        yield f"not utf-8 {data[-8:]} as bytes", [frame(BINARY, data), close()], 0
        yield f"not utf-8 {data[-8:]} in a reason", [close(1000, data[:100])], 0


def close_cases():
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        yield f"close {code}", [close(code)], 0
        yield f"close {code} with a reason", [close(code, "gehört".encode())], 1
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield f"close {code}", [close(code)], 0
        yield f"close {code} with a reason", [close(code, b"why")], 0
    yield "close without a code", [frame(CLOSE)], 0
    yield "close with one byte", [frame(CLOSE, b"\x03")], 0
    yield "close with 125 bytes", [close(1000, b"*" * 123)], 0
    yield "close with 126 bytes", [close(1000, b"*" * 124)], 0
    yield "two closes", [close(), close()], 0
    yield "a ping after the close", [close(), frame(PING, b"a")], 0
    yield "a message after the close", [close(), frame(TEXT, "a")], 0
    yield "garbage", [b"GET / HTTP/1.1\r\nHost: gate.test\r\n\r\n"], 0
    yield "gone without a word", [None], 0
    yield "gone within a message", [frame(TEXT, "a" * 100, fin=False), None], 0


def run(side, sent, piece):
    client = Client(side)
    messages, within = 0, False
    for part in sent:
        opcode = part[0] & 0x7F if part else CLOSE
        sound = opcode in (PING, PONG) or (opcode == 0 if within else opcode in (TEXT, BINARY))
        if not sound:
            # A server that is asked to close, or is wronged, may leave unsaid what it was about to say.
            client.hear(messages)
        elif opcode <= BINARY:
            within = not part[0] & 0x80
            messages += not within
        if part is None:
            client.socket.shutdown(socket.SHUT_WR) if not side["tls"] else client.socket.unwrap()
        else:
            client.send(part, piece)
    client.hear()
    client.socket.close()
    return client.heard


def compressed_cases():
    for offer in (
        {}, {"server_no_context_takeover": True}, {"client_no_context_takeover": True},
        {"server_max_window_bits": 9}, {"server_max_window_bits": 15, "client_max_window_bits": 9},
        {"client_max_window_bits": True, "server_no_context_takeover": True, "client_no_context_takeover": True},
    ):
        for size in (16, 1024, 32768, 131072):
            yield offer, size


def run_compressed(side, offer, size):
    scheme = "wss" if side["tls"] else "ws"
    headers = dict(header.split(": ", 1) for header in side["headers"])
    extension = ClientPerMessageDeflateFactory(**offer)
    host, port = side["at"].rsplit(":", 1)
    found = []
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as raw:
        options = {"sock": raw, "compression": None, "extensions": [extension], "additional_headers": headers}
        options |= {"ssl": side["tls"], "max_size": 1 << 24, "subprotocols": ["path"]}
        with connect(f"{scheme}://gate.test/echo?a=b", **options) as client:
            found.append(client.response.headers.get("Sec-WebSocket-Extensions"))
            found.append(client.recv(timeout=PATIENCE))
            for number in range(10):
                text = (f"message {number} of a kind, " * (size // 20 + 1))[:size]
                client.send(text if number % 2 else text.encode())
                echo = client.recv(timeout=PATIENCE)
                found.append(echo == (text if number % 2 else text.encode()))
    return found


def main():
    roots, token = os.environ.get("ROOTS"), os.environ.get("TOKEN")
    direct = {"at": os.environ["DIRECT"], "tls": None, "headers": []}
    tls = ssl.create_default_context(cafile=roots) if roots else None
    gate = {"at": os.environ["GATE"], "tls": tls, "headers": [f"Authorization: Bearer {token}"] if token else []}
    count, faults = 0, []

    def compare(name, ask):
        nonlocal count
        count += 1
        wanted = ask(direct)
        try:
            got = ask(gate)
        except Exception as error:  # Whatever it is, the gateway is to blame for it.
            got = repr(error)
        if wanted != got:
            faults.append(f"{name}: directly {wanted}, through the gateway {got}"[:600])

    for cases in (framing_cases, control_cases, fragment_cases, text_cases, close_cases):
        for name, sent, piece in cases():
            compare(name, lambda side: run(side, sent, piece))
    for offer, size in compressed_cases():
        compare(f"compressed {offer} {size}", lambda side: run_compressed(side, offer, size))
    print(f"{count} cases")
    sys.exit("\n".join(faults) or None)


main()
