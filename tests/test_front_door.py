"""What reaches the app past the front door: nothing of who is not signed in, by no kind of connection."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from backend.accounts import Accounts, Role
from backend.sign_in import SignIns
from db.session import Store
from ui.front_door import FrontDoor


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


@pytest.fixture
def client(store: Store, tmp_path: Path) -> TestClient:
    door = FrontDoor(inside, SignIns(store, Accounts(store)), {"": Role.ANNOTATOR}, 7860)
    return TestClient(door)


def test_a_stranger_reaches_neither_a_page_nor_an_endpoint(client: TestClient) -> None:
    for path in ("/", "/models", "/gradio_api/queue/join", "/gradio_api/upload"):
        answer = client.get(path)
        assert answer.status_code == 401
        assert "inside" not in answer.text


def test_no_socket_is_opened(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as refusal, client.websocket_connect("/gradio_api/anything"):
        pass
    assert refusal.value.code == 1008
