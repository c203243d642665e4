"""A script as people write them with requests: fetches a token, calls, is refused."""
import os

import requests

gate, key, secret, other_secret = (os.environ[name] for name in ("GATE", "KEY", "SECRET", "OTHER_SECRET"))

grant = {"grant_type": "client_credentials"}
answer = requests.post(f"{gate}/oauth/token", auth=(key, secret), data=grant)
answer.raise_for_status()
token = answer.json()
assert token["token_type"] == "Bearer" and token["expires_in"] > 0, token

with requests.Session() as session:
    session.headers["Authorization"] = f"Bearer {token['access_token']}"
    allowed = session.get(f"{gate}/v1/items/7", params={"a": "b c"})
    assert (allowed.status_code, allowed.json()) == (200, {"ok": True}), allowed.text
    assert session.head(f"{gate}/v1/items/7").status_code == 200
    # An iterator has no length: it is sent in chunks.
    made = session.post(f"{gate}/v1/items", data=(part for part in (b"one ", b"two")))
    assert made.status_code == 200, made.text
    refused = session.delete(f"{gate}/v1/items/7")
    assert refused.status_code == 403, refused.text
    assert refused.headers["Content-Type"] == "application/problem+json", refused.headers
    assert refused.json()["missing"] == ["items:delete"], refused.text

stranger = requests.get(f"{gate}/v1/items/7")
assert stranger.status_code == 401, stranger.text
assert stranger.headers["WWW-Authenticate"].startswith("Bearer"), stranger.headers

wrong = requests.post(f"{gate}/oauth/token", auth=(key, other_secret), data=grant)
assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client"), wrong.text
