"""Undoes the content coding (named by the first argument) of standard input."""
import sys
import zlib

import brotlicffi

undo = {
    "gzip": lambda data: zlib.decompress(data, 16 + zlib.MAX_WBITS),
    "deflate": zlib.decompress,
    "br": brotlicffi.decompress,
}
sys.stdout.buffer.write(undo[sys.argv[1]](sys.stdin.buffer.read()))
