"""Two conversations through the gate at GATE: one by TOKEN, whose right is taken away, and one by KEPT. Says `open`, and then what it saw."""
import os

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

PATIENCE = 20


def talk(token):
    headers = {"Authorization": f"Bearer {os.environ[token]}"}
    return connect(f"ws://{os.environ['GATE']}/echo", additional_headers=headers, open_timeout=PATIENCE)


def says_back(conversation, text):
    conversation.send(text)
    assert conversation.recv(timeout=PATIENCE) == text


with talk("TOKEN") as leaked, talk("KEPT") as kept:
    for conversation in (leaked, kept):
        says_back(conversation, "hello")
    print("open", flush=True)
    try:
        leaked.recv(timeout=PATIENCE)
    except ConnectionClosed as closed:
        print(f"closed {closed.rcvd and closed.rcvd.code}")
    try:
        with talk("TOKEN"):
            print("let in")
    except InvalidStatus as refused:
        print(f"again {refused.response.status_code}")
    says_back(kept, "still here")
    print("the other goes on")
