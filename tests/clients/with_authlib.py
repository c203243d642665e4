"""Authlib's session, which fetches its token by itself, authenticated as the first argument says."""
import os
import sys

# Authlib insists on https otherwise, and this is 127.0.0.1.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session

gate, key, secret, other_secret = (os.environ[name] for name in ("GATE", "KEY", "SECRET", "OTHER_SECRET"))
method = sys.argv[1]


def session(secret, **more):
    return OAuth2Session(
        key,
        secret,
        token_endpoint=f"{gate}/oauth/token",
        token_endpoint_auth_method=method,
        grant_type="client_credentials",
        **more,
    )


with session(secret) as client:
    client.fetch_token()
    assert client.get(f"{gate}/v1/items/7").json() == {"ok": True}
    # A token that has run out is replaced on the way, without a word.
    first = client.token["access_token"]
    client.token = {**client.token, "expires_at": 1}
    assert client.get(f"{gate}/v1/items/8").status_code == 200
    assert client.token["access_token"] != first
    assert client.delete(f"{gate}/v1/items/7").status_code == 403

with session(secret, scope="items:read") as client:
    assert client.fetch_token()["scope"] == "items:read"
    assert client.get(f"{gate}/v1/items/9").status_code == 200
    assert client.post(f"{gate}/v1/items").status_code == 403

with session(secret) as client:
    # What is given back is refused from then on.
    client.fetch_token()
    token = client.token["access_token"]
    answer = client.revoke_token(f"{gate}/oauth/revoke", token=token, token_type_hint="access_token")
    assert answer.status_code == 200, answer.text
    assert client.get(f"{gate}/v1/items/9").status_code == 401

with session(other_secret) as client:
    try:
        client.fetch_token()
    except OAuthError as error:
        assert error.error == "invalid_client", error
    else:
        raise AssertionError("a wrong secret was taken")
