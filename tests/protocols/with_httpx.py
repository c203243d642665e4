"""httpx as people use it, over HTTP/1.1 and HTTP/2: calls, streams, many at once. The upstream sends back every byte it got."""
import asyncio
import os
import ssl

import httpx

gate, roots, token = (os.environ.get(name) for name in ("GATE", "ROOTS", "TOKEN"))
base = f"{'https' if roots else 'http'}://{gate}"
usual = {"base_url": base, "headers": {"Authorization": f"Bearer {token}", "Host": "gate.test"}, "timeout": 20}
if roots:
    usual["verify"] = ssl.create_default_context(cafile=roots)
named = {"extensions": {"sni_hostname": "gate.test"}}
# Without TLS there is nothing to negotiate: httpx speaks HTTP/2 alone, or not at all.
versions = [{"http1": True, "http2": False}, {"http1": False, "http2": True}]


def call(client, version):
    answer = client.get("/v1/items/7", params={"a": "b c"}, **named)
    assert (answer.status_code, answer.http_version) == (200, version), answer
    assert answer.text.startswith("GET /v1/items/7?a=b+c HTTP/1.1\r\n"), answer.text
    assert token not in answer.text
    assert client.head("/v1/items/7", **named).status_code == 200
    refused = client.delete("/v1/items/7", **named)
    assert refused.status_code == 403 and refused.json()["missing"] == ["items:delete"], refused.text

    # A body without a length, and an answer taken in pieces.
    parts = [b"%d," % number * 1000 for number in range(200)]
    with client.stream("POST", "/v1/items", content=iter(parts), **named) as answer:
        assert answer.status_code == 200
        body = b"".join(answer.iter_raw())
    assert b"transfer-encoding: chunked" in body.lower() and b"199,199," in body, body[:500]

    # Left in the middle of an answer, and used again.
    with client.stream("POST", "/v1/items", content=b"x" * (1 << 20), **named) as answer:
        next(answer.iter_raw())
    assert client.get("/public/x", **named).status_code == 200


async def many(options, version):
    async with httpx.AsyncClient(**usual, **options) as client:
        calls = [client.get(f"/v1/items/{number}", **named) for number in range(80)]
        for number, answer in enumerate(await asyncio.gather(*calls)):
            assert (answer.status_code, answer.http_version) == (200, version), answer
            assert answer.text.startswith(f"GET /v1/items/{number} HTTP/1.1\r\n"), answer.text


for options, version in zip(versions, ("HTTP/1.1", "HTTP/2")):
    with httpx.Client(**usual, **options) as client:
        call(client, version)
    asyncio.run(many(options, version))
