"""What is asked of the gateways: one kind of request each, over a table of routes, with some tokens.

The authorized GET is the promise. The others are what else a gateway meets: TLS and HTTP/2 in front,
requests that are refused, tokens nobody has seen before, bodies, and the endpoint that gives tokens out.
"""

import dataclasses

KIB = 1024


@dataclasses.dataclass(frozen=True)
class Work:
    """One kind of request."""

    name: str
    says: str
    # Of a request's body, which makes it a POST; none makes it a GET.
    body_bytes: int = 0
    # Whether the gateways speak TLS towards the client.
    tls: bool = False
    # Whether the client speaks HTTP/2, which it does within TLS.
    http2: bool = False
    # Where fewer keep a core busy than the options say.
    connections: int | None = None
    # What is wrong with the credential, if something is; and what is answered then.
    fault: str | None = None
    status: int = 200
    # Whether gateways may remember a token they have verified.
    remembers: bool = True


WORKS = [
    Work("authorized", "GET, 1 KiB comes back"),
    Work("tls", "the same within TLS 1.3, connections stay", tls=True),
    Work("http2", "the same within TLS, HTTP/2, 4 connections of 100 streams", tls=True, http2=True),
    Work("refused-no-token", "GET without a credential", fault="none", status=401),
    Work("refused-malformed", "GET with what is no token", fault="malformed", status=401),
    Work("refused-unknown-key", "GET with a token somebody else signed", fault="unknown key", status=401),
    Work("refused-no-permission", "GET with a good token that lacks the permission", fault="no permission", status=403),
    Work("first-use", "GET, every token as if it were new", remembers=False),
    Work("small-body", "POST of 1 KiB", body_bytes=KIB),
    Work("large-body", "POST of 1 MiB, 8 connections", body_bytes=KIB * KIB, connections=8),
    Work("token-endpoint", "a token for a key"),
]
GROUPS = {"refused": [work.name for work in WORKS if work.fault]}
NAMES = [*(work.name for work in WORKS), *GROUPS]


@dataclasses.dataclass(frozen=True)
class Setup:
    """One kind of request over one table with so many tokens."""

    work: Work
    routes: str
    tokens: int

    @property
    def title(self):
        if self.work.name == "token-endpoint":
            return f"{self.work.name}: {self.work.says}"
        table = {"20": "20", "github": "1,223", "10000": "10,000"}[self.routes]
        tokens = "" if self.work.fault else f", {self.tokens:,} token{'s' if self.tokens > 1 else ''}"
        return f"{self.work.name}: {self.work.says}; {table} routes{tokens}"

    def described(self):
        return {"work": self.work.name, "says": self.work.says, "title": self.title,
                "routes": self.routes, "tokens": self.tokens}


def chosen(options):
    """The setups to be measured, in order."""
    by_name = {work.name: work for work in WORKS}
    if options.quick:
        # One of each way a request can go.
        return [Setup(by_name[name], "20", 1) for name in ("authorized", "http2", "refused-unknown-key", "small-body")]
    if options.full:
        tables = [Setup(by_name["authorized"], *one) for one in (("20", 1), ("20", 1000), ("github", 1000), ("10000", 1000))]
        return tables + [Setup(work, "github", 1 if work.http2 else 1000) for work in WORKS if work.name != "authorized"]
    names = dict.fromkeys(one for name in options.work for one in GROUPS.get(name, [name]))
    chosen = []
    for name in names:
        routes, tokens = (["20"], [1]) if name == "token-endpoint" else (options.routes, options.tokens)
        if by_name[name].http2:
            tokens = [1]
        chosen += [Setup(by_name[name], table, count) for table in routes for count in tokens]
    return chosen
