"""The official Python SDK of Feishu as an independent authority.

Bot and simulator were written from the same description, so they could be wrong together. `lark-oapi` was written
by the people who run the platform. Here it seals events for the bot, opens what the simulator seals, and does with
the simulator what a bot does with Feishu; every answer has to fit the SDK's own typed models.

    tests/run --only sdk                                             as the tests run it
    sdk.py --playground target/debug/examples/sandbox                the same by hand
    sdk.py --page http://127.0.0.1:PORT                              against a playground that is already there
"""

import argparse
import base64
import copy
import hashlib
import io
import json
import os
import secrets
import struct
import sys
import time
import unittest
import urllib.parse
import zlib
from contextlib import ExitStack

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from playground import Connection, http, http_json, leave_politely, playground  # noqa: E402

import lark_oapi as lark  # noqa: E402
from Crypto.Cipher import AES  # noqa: E402
from lark_oapi.api.authen.v1 import GetUserInfoRequest  # noqa: E402
from lark_oapi.api.contact.v3 import (  # noqa: E402
    ChildrenDepartmentRequest,
    SearchDepartmentRequest,
    SearchDepartmentRequestBody,
)
from lark_oapi.api.im.v1 import (  # noqa: E402
    CreateFileRequest,
    CreateFileRequestBody,
    CreateImageRequest,
    CreateImageRequestBody,
    CreateMessageRequest,
    CreateMessageRequestBody,
    DeleteBatchMessageRequest,
    GetProgressBatchMessageRequest,
    PatchMessageRequest,
    PatchMessageRequestBody,
    ReadUserBatchMessageRequest,
    ReplyMessageRequest,
    ReplyMessageRequestBody,
)
from lark_oapi.core.cache import ICache  # noqa: E402
from lark_oapi.core.exception import ObtainAccessTokenException  # noqa: E402
from lark_oapi.core.model import RawRequest  # noqa: E402
from lark_oapi.core.token import TokenManager  # noqa: E402
from lark_oapi.core.utils import AESCipher  # noqa: E402
from lark_oapi.event.callback.model.p2_card_action_trigger import P2CardActionTriggerResponse  # noqa: E402

here: Connection  # the simulated company, set before the tests start

SCOPES = "contact:contact.base:readonly contact:department.base:readonly contact:department.organize:readonly offline_access"
# Seconds in which a batch of two people has to be on its way.
BATCH_SECONDS = 30


# ------------------------------------------------------------------ sealing, with the SDK's key


def seal(plain, timestamp=None, nonce=None):
    """(headers, body) as Feishu pushes it. The SDK can only open, so its key is used to close."""
    cipher = AESCipher(here.encrypt_key)
    padding = AES.block_size - len(plain) % AES.block_size
    iv = secrets.token_bytes(AES.block_size)
    closed = iv + AES.new(cipher.digest, AES.MODE_CBC, iv).encrypt(plain + bytes([padding]) * padding)
    assert cipher.decrypt(closed) == plain, "the SDK opens what was sealed with its key"
    body = json.dumps({"encrypt": base64.b64encode(closed).decode()}).encode()
    return sign(body, timestamp, nonce), body


def sign(body, timestamp=None, nonce=None):
    timestamp = timestamp or str(int(time.time()))
    nonce = nonce or secrets.token_hex(8)
    signature = hashlib.sha256((timestamp + nonce + here.encrypt_key).encode() + body).hexdigest()
    return {
        "Content-Type": "application/json;charset=utf-8",
        "X-Lark-Request-Timestamp": timestamp,
        "X-Lark-Request-Nonce": nonce,
        "X-Lark-Signature": signature,
    }


def sdk_handler(received):
    """The SDK's own receiver; what it accepts is appended to `received`."""

    def pressed(trigger):
        received.append(trigger)
        return P2CardActionTriggerResponse({})

    handler = lark.EventDispatcherHandler.builder(here.encrypt_key, here.verification_token, lark.LogLevel.CRITICAL)
    handler = handler.register_p2_im_message_receive_v1(received.append)
    return handler.register_p2_card_action_trigger(pressed).build()


def sdk_receives(handler, headers, body):
    """The status with which the SDK would answer this push."""
    request = RawRequest()
    request.uri = "/feishu/event"
    # Names of headers have no case in HTTP, but the SDK looks them up as Feishu writes them.
    request.headers = {name.title(): value for name, value in headers.items()}
    request.body = body
    return handler.do(request).status_code


def message_event(text, token=None, app_id=None):
    """A private message of an admin to the bot, plain."""
    now = int(time.time() * 1000)
    sender = {"open_id": here.admins[0], "union_id": "on_" + secrets.token_hex(16)}
    return {
        "schema": "2.0",
        "header": {
            "event_id": secrets.token_hex(16),
            "event_type": "im.message.receive_v1",
            "create_time": str(now),
            "token": here.verification_token if token is None else token,
            "app_id": here.app_id if app_id is None else app_id,
            "tenant_key": tenant_key(),
        },
        "event": {
            "sender": {"sender_id": sender, "sender_type": "user", "tenant_key": tenant_key()},
            "message": {
                "message_id": "om_" + secrets.token_hex(16),
                "create_time": str(now),
                "update_time": str(now),
                "chat_id": private_chat(),
                "chat_type": "p2p",
                "message_type": "text",
                "content": json.dumps({"text": text}, ensure_ascii=False),
            },
        },
    }


_tenant_key = []


def tenant_key():
    """Which company this is: the platform says so in the header of everything it pushes."""
    if not _tenant_key:
        _, body = here.seal("im.message.receive_v1", {})
        opened = AESCipher(here.encrypt_key).decrypt_str(json.loads(body)["encrypt"])
        _tenant_key.append(json.loads(opened)["header"]["tenant_key"])
    return _tenant_key[0]


_chat = []


def private_chat():
    """The chat between the first admin and the bot, which exists once the bot has written to it."""
    if not _chat:
        _chat.append(send("text", {"text": "测试开始"}).chat_id)
    return _chat[0]


def plain(event):
    return json.dumps(event, ensure_ascii=False).encode()


def to_bot(headers, body, path="/feishu/event"):
    status, _, answer = http(here.bot_url + path, body, headers, "POST")
    return status, answer


class TheBotTakesWhatFeishuSeals(unittest.TestCase):
    """Each push is judged by the SDK first: both have to come to the same verdict."""

    def both(self, headers, body):
        return sdk_receives(sdk_handler([]), headers, body), to_bot(headers, body)[0]

    def test_a_sealed_and_signed_message_is_accepted_by_both(self):
        received = []
        headers, body = seal(plain(message_event("/help")))
        self.assertEqual(sdk_receives(sdk_handler(received), headers, body), 200)
        self.assertEqual(json.loads(received[0].event.message.content), {"text": "/help"})
        self.assertEqual(to_bot(headers, body)[0], 200)
        self.assertEqual(to_bot(headers, body)[0], 200, "a repeat is answered like the first")

    def test_both_routes_take_both_kinds(self):
        headers, body = seal(plain(message_event("/whoami")))
        self.assertEqual(to_bot(headers, body, "/feishu/card")[0], 200)

    def test_one_changed_byte_is_refused_by_both(self):
        headers, body = seal(plain(message_event("/help")))
        middle = len(body) // 2
        other = b"A" if body[middle : middle + 1] != b"A" else b"B"
        changed = body[:middle] + other + body[middle + 1 :]
        self.assertEqual(self.both(headers, changed), (500, 401))
        for name in ("X-Lark-Request-Timestamp", "X-Lark-Request-Nonce", "X-Lark-Signature"):
            with self.subTest(name):
                value = headers[name]
                last = "1" if value[-1] != "1" else "2"
                self.assertEqual(self.both({**headers, name: value[:-1] + last}, body), (500, 401))

    def test_another_verification_token_is_refused_by_both(self):
        headers, body = seal(plain(message_event("/help", token="v-somebody-else")))
        self.assertEqual(self.both(headers, body), (500, 401))

    def test_an_event_of_another_app_is_refused(self):
        # The SDK does not look at the app; the interface of the bot asks for it.
        headers, body = seal(plain(message_event("/help", app_id="cli_somebodyelse000")))
        self.assertEqual(to_bot(headers, body)[0], 401)

    def test_an_event_without_a_signature_is_refused(self):
        _, body = seal(plain(message_event("/help")))
        self.assertEqual(to_bot({"Content-Type": "application/json"}, body)[0], 401)

    def test_a_plain_event_is_refused_where_there_is_a_key(self):
        body = plain(message_event("/help"))
        self.assertEqual(to_bot(sign(body), body)[0], 400)

    def test_an_event_of_the_day_before_yesterday_is_refused(self):
        headers, body = seal(plain(message_event("/help")), timestamp=str(int(time.time()) - 48 * 3600))
        self.assertEqual(to_bot(headers, body)[0], 401)

    def test_the_sealed_challenge_is_answered_unsigned_and_within_a_second(self):
        challenge = 'quote " and \\ backslash'
        asked = {"challenge": challenge, "token": here.verification_token, "type": "url_verification"}
        _, body = seal(plain(asked))
        for path in ("/feishu/event", "/feishu/card"):
            started = time.monotonic()
            status, answer = to_bot({"Content-Type": "application/json"}, body, path)
            self.assertLess(time.monotonic() - started, 1.0)
            self.assertEqual((status, json.loads(answer)), (200, {"challenge": challenge}))
        _, body = seal(plain({**asked, "token": "v-somebody-else"}))
        status, answer = to_bot({"Content-Type": "application/json"}, body)
        self.assertEqual(status, 401)
        self.assertNotIn(b"quote", answer)


class TheSdkTakesWhatTheSimulatorSeals(unittest.TestCase):
    def test_a_message(self):
        event = message_event("/broadcast 销售部 你好")["event"]
        headers, body = here.seal("im.message.receive_v1", event)
        received = []
        self.assertEqual(sdk_receives(sdk_handler(received), headers, body), 200)
        message = received[0]
        self.assertEqual(message.schema, "2.0")
        self.assertEqual(message.header.app_id, here.app_id)
        self.assertEqual(message.header.event_type, "im.message.receive_v1")
        self.assertTrue(message.header.event_id and message.header.tenant_key)
        self.assertRegex(message.header.create_time, r"^\d{13}(\d{3})?$")
        self.assertEqual(message.event.sender.sender_id.open_id, here.admins[0])
        self.assertEqual(message.event.message.chat_type, "p2p")
        self.assertEqual(json.loads(message.event.message.content)["text"], "/broadcast 销售部 你好")

    def test_a_press_on_a_card(self):
        value = {"action": "approve", "broadcast": "K7M2QX", "version": 1}
        event = {
            "operator": {"tenant_key": tenant_key(), "open_id": here.admins[0], "union_id": "on_1"},
            "token": "c-0001",
            "action": {"value": value, "tag": "button"},
            "host": "im_message",
            "context": {"open_message_id": "om_1", "open_chat_id": "oc_1"},
        }
        headers, body = here.seal("card.action.trigger", event)
        received = []
        self.assertEqual(sdk_receives(sdk_handler(received), headers, body), 200)
        self.assertEqual(received[0].event.action.value, value)
        self.assertEqual(received[0].event.operator.open_id, here.admins[0])
        self.assertEqual(received[0].event.context.open_message_id, "om_1")

    def test_what_was_changed_on_the_way_is_refused(self):
        headers, body = here.seal("im.message.receive_v1", message_event("/help")["event"])
        self.assertEqual(sdk_receives(sdk_handler([]), headers, body + b" "), 500)


# ------------------------------------------------------------------ the SDK's client and the simulator


class NoCache(ICache):
    """Lets a client ask for a token each time."""

    def get(self, _key):
        return None

    def set(self, _key, _value, _expire):
        pass


def client(**changes):
    settings = {"app_id": here.app_id, "app_secret": here.app_secret, "domain": here.tenant_url, **changes}
    builder = lark.Client.builder().enable_set_token(True).timeout(20).log_level(lark.LogLevel.CRITICAL)
    for name, value in settings.items():
        builder = getattr(builder, name)(value)
    return builder.build()


def raw(method, uri, body=None, queries=(), tokens=(lark.AccessTokenType.TENANT,), option=None):
    """A call for which the SDK has no types. Gives (HTTP status, JSON), as the SDK received it."""

    def once():
        request = lark.BaseRequest.builder().http_method(method).uri(uri).token_types(set(tokens))
        request = request.queries(list(queries)).headers({"Content-Type": "application/json; charset=utf-8"})
        answer = client().request(request.body(body).build(), option)
        # The SDK reads the code only where it likes the spelling of Content-Type.
        answer.code = json.loads(answer.raw.content).get("code")
        return answer

    answer = patiently(once)
    return answer.raw.status_code, json.loads(answer.raw.content)


def patiently(call):
    """Repeats a call that came too fast for the platform: five messages a second to one person."""
    for _ in range(20):
        response = call()
        if response.code not in (230020, 99991400):
            break
        time.sleep(0.5)
    return response


def good(response):
    """The data of a typed answer, or a failure that quotes what came instead."""
    assert response.success(), f"HTTP {response.raw.status_code}: {response.raw.content.decode('utf-8', 'replace')}"
    return response.data


def send(kind, content, to=None, uuid=None, id_type="open_id"):
    body = (
        CreateMessageRequestBody.builder()
        .receive_id(to or here.admins[0])
        .msg_type(kind)
        .content(json.dumps(content, ensure_ascii=False))
    )
    body = (body.uuid(uuid) if uuid else body).build()
    request = CreateMessageRequest.builder().receive_id_type(id_type).request_body(body).build()
    return good(patiently(lambda: client().im.v1.message.create(request)))


def card(text):
    return {
        "schema": "2.0",
        "config": {"update_multi": True},
        "header": {"title": {"tag": "plain_text", "content": text}, "template": "blue"},
        "body": {"elements": [{"tag": "markdown", "content": f"**{text}**"}]},
    }


def png():
    """A red dot, 1 × 1."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0\xff\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


class TokensOfTheApp(unittest.TestCase):
    def test_the_sdk_gets_a_tenant_token(self):
        token = TokenManager.get_self_tenant_token(client().config)
        self.assertRegex(token, r"^t-\S+$")

    def test_a_token_with_half_an_hour_left_is_given_again(self):
        url = here.tenant_url + "/open-apis/auth/v3/tenant_access_token/internal"
        asked = {"app_id": here.app_id, "app_secret": here.app_secret}
        (_, first), (_, second) = http_json(url, asked), http_json(url, asked)
        self.assertEqual(first["code"], 0)
        self.assertEqual(first["tenant_access_token"], second["tenant_access_token"])
        self.assertIsInstance(first["expire"], int)
        self.assertTrue(0 < second["expire"] <= first["expire"] <= 7200)

    def test_a_wrong_secret_is_refused(self):
        before = TokenManager.cache
        try:
            with self.assertRaises(ObtainAccessTokenException) as caught:
                wrong = client(app_secret="not-the-secret", cache=NoCache())
                TokenManager.get_self_tenant_token(wrong.config)
            self.assertIn(caught.exception.code, (10014, 10015))
        finally:
            TokenManager.cache = before

    def test_the_bot_says_who_it_is(self):
        status, answer = raw(lark.HttpMethod.GET, "/open-apis/bot/v3/info")
        self.assertEqual((status, answer["code"]), (200, 0))
        self.assertRegex(answer["bot"]["open_id"], r"^ou_\w{32}$")
        self.assertEqual(answer["bot"]["activate_status"], 2)


class Messages(unittest.TestCase):
    def check(self, data, kind):
        self.assertRegex(data.message_id, r"^om_\w+$")
        self.assertRegex(data.chat_id, r"^oc_\w+$")
        self.assertEqual(data.msg_type, kind)
        self.assertRegex(data.create_time, r"^\d{13}$")
        self.assertEqual((data.deleted, data.updated), (False, False))
        self.assertEqual((data.sender.id_type, data.sender.id), ("app_id", here.app_id))
        self.assertEqual(data.sender.sender_type, "app")
        self.assertIsInstance(data.body.content, str)

    def test_text(self):
        data = send("text", {"text": "你好"})
        self.check(data, "text")
        self.assertEqual(json.loads(data.body.content), {"text": "你好"})

    def test_text_into_the_chat_that_the_first_message_opened(self):
        self.assertEqual(send("text", {"text": "又来了"}, private_chat(), id_type="chat_id").chat_id, private_chat())

    def test_the_same_uuid_makes_one_message(self):
        uuid = secrets.token_hex(16)
        first = send("text", {"text": "只有一次"}, uuid=uuid)
        second = send("text", {"text": "只有一次"}, uuid=uuid)
        self.assertEqual(first.message_id, second.message_id)

    def test_reply(self):
        first = send("text", {"text": "问"})
        body = ReplyMessageRequestBody.builder().msg_type("text").content(json.dumps({"text": "答"})).build()
        request = ReplyMessageRequest.builder().message_id(first.message_id).request_body(body).build()
        reply = good(patiently(lambda: client().im.v1.message.reply(request)))
        self.check(reply, "text")
        self.assertEqual((reply.parent_id, reply.root_id), (first.message_id, first.message_id))
        self.assertEqual(reply.chat_id, first.chat_id)

    def patch(self, message_id, content):
        body = PatchMessageRequestBody.builder().content(json.dumps(content, ensure_ascii=False)).build()
        request = PatchMessageRequest.builder().message_id(message_id).request_body(body).build()
        return patiently(lambda: client().im.v1.message.patch(request))

    def test_a_card_and_its_update(self):
        sent = send("interactive", card("第一版"))
        self.check(sent, "interactive")
        self.assertTrue(self.patch(sent.message_id, card("第二版")).success())

    def test_a_shared_card_may_not_become_a_personal_one(self):
        sent = send("interactive", card("第一版"))
        personal = card("第二版")
        personal["config"] = {}
        refused = self.patch(sent.message_id, personal)
        self.assertEqual(refused.raw.status_code, 400)
        self.assertNotEqual(refused.code, 0)

    def test_a_card_that_does_not_parse_is_refused(self):
        body = CreateMessageRequestBody.builder().receive_id(here.admins[0]).msg_type("interactive").content("{").build()
        request = CreateMessageRequest.builder().receive_id_type("open_id").request_body(body).build()
        refused = patiently(lambda: client().im.v1.message.create(request))
        self.assertEqual(refused.raw.status_code, 400)
        self.assertIn(refused.code, (230099, 230001))

    def test_content_has_to_be_a_string(self):
        body = {"receive_id": here.admins[0], "msg_type": "text", "content": {"text": "hi"}}
        uri = "/open-apis/im/v1/messages"
        status, answer = raw(lark.HttpMethod.POST, uri, body, [("receive_id_type", "open_id")])
        self.assertEqual(status, 400)
        self.assertIn(answer["code"], (230001, 99992402))

    def test_a_stranger_to_the_company_is_refused(self):
        body = CreateMessageRequestBody.builder().receive_id("ou_" + "0" * 32).msg_type("text")
        body = body.content(json.dumps({"text": "hi"})).build()
        request = CreateMessageRequest.builder().receive_id_type("open_id").request_body(body).build()
        refused = patiently(lambda: client().im.v1.message.create(request))
        self.assertEqual(refused.raw.status_code, 400)
        self.assertIn(refused.code, (230001, 230013, 230034, 99992351, 99992361))


class Uploads(unittest.TestCase):
    def image(self, content):
        # A part without a file name is no file to Feishu, so it is named here.
        body = CreateImageRequestBody.builder().image_type("message")
        body = body.image(("dot.png", io.BytesIO(content), "image/png")).build()
        return client().im.v1.image.create(CreateImageRequest.builder().request_body(body).build())

    def test_an_image_can_be_uploaded_and_sent(self):
        key = good(self.image(png())).image_key
        self.assertRegex(key, r"^img_\S+$")
        self.assertEqual(send("image", {"image_key": key}).msg_type, "image")

    def test_what_is_no_image_is_refused(self):
        refused = self.image(b"this is no image")
        self.assertEqual((refused.raw.status_code, refused.code), (400, 234011))

    def test_a_file_can_be_uploaded(self):
        body = CreateFileRequestBody.builder().file_type("stream").file_name("invalid.csv")
        body = body.file(("invalid.csv", io.BytesIO("种类,编号\n".encode()), "text/csv")).build()
        data = good(client().im.v1.file.create(CreateFileRequest.builder().request_body(body).build()))
        self.assertRegex(data.file_key, r"^file_\S+$")


class Authorization(unittest.TestCase):
    """OAuth v2, for which the SDK has no types: its client carries it, RFC 6749 and 7636 say what is right."""

    uri = "/open-apis/authen/v2/oauth/token"

    @classmethod
    def authorize(cls, open_id, scope=SCOPES):
        """The admin agrees; gives what the exchange needs."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        redirect = here.public_url.rstrip("/") + "/oauth/callback"
        state = secrets.token_urlsafe(16)
        query = urllib.parse.urlencode(
            {
                "client_id": here.app_id,
                "response_type": "code",
                "redirect_uri": redirect,
                "scope": scope,
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        location = here.consent(open_id, f"{here.accounts_url}/open-apis/authen/v1/authorize?{query}")
        assert location.startswith(redirect + "?"), f"sent to {location}, not to {redirect}"
        back = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
        assert back.get("state") == state, "the state comes back as it was"
        return {
            "grant_type": "authorization_code",
            "client_id": here.app_id,
            "client_secret": here.app_secret,
            "code": back["code"],
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }

    @classmethod
    def token(cls, body):
        return raw(lark.HttpMethod.POST, cls.uri, body, tokens=())

    @classmethod
    def user_token(cls, open_id):
        status, answer = cls.token(cls.authorize(open_id))
        assert (status, answer["code"]) == (200, 0), f"HTTP {status}: {answer}"
        return answer

    def test_the_code_becomes_a_token_of_the_one_who_agreed(self):
        answer = self.user_token(here.admins[0])
        self.assertEqual(answer["token_type"], "Bearer")
        self.assertIsInstance(answer["expires_in"], int)
        self.assertIsInstance(answer["refresh_token_expires_in"], int)
        self.assertLessEqual(set(SCOPES.split()), set(answer["scope"].split()))
        option = lark.RequestOption.builder().user_access_token(answer["access_token"]).build()
        person = good(client().authen.v1.user_info.get(GetUserInfoRequest.builder().build(), option))
        self.assertEqual(person.open_id, here.admins[0])
        self.assertTrue(person.name and person.tenant_key)

    def test_a_code_is_good_for_one_time_and_one_verifier(self):
        body = self.authorize(here.admins[0])
        status, answer = self.token({**body, "code_verifier": "x" * 64})
        self.assertEqual((status, answer["code"]), (400, 20049))
        body = self.authorize(here.admins[0])
        self.assertEqual(self.token(body)[1]["code"], 0)
        status, answer = self.token(body)
        self.assertEqual(status, 400)
        self.assertIn(answer["code"], (20003, 20065))
        self.assertIsInstance(answer["error"], str)
        self.assertIsInstance(answer["error_description"], str)

    def test_a_refresh_turns_the_token_over(self):
        old = self.user_token(here.admins[0])
        body = {"grant_type": "refresh_token", "client_id": here.app_id, "client_secret": here.app_secret}
        status, new = self.token({**body, "refresh_token": old["refresh_token"]})
        self.assertEqual((status, new["code"]), (200, 0))
        self.assertNotEqual(new["refresh_token"], old["refresh_token"])
        status, again = self.token({**body, "refresh_token": old["refresh_token"]})
        self.assertEqual(status, 400)
        self.assertIn(again["code"], (20064, 20073))

    def test_without_offline_access_there_is_nothing_to_refresh_with(self):
        # Feishu adds up what a person ever granted, so this one must be new.
        body = self.authorize(here.admins[-1], "contact:contact.base:readonly")
        status, answer = self.token(body)
        self.assertEqual((status, answer["code"]), (200, 0))
        if "offline_access" not in answer["scope"].split():
            self.assertFalse(answer.get("refresh_token"))


class Departments(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        token = Authorization.user_token(here.admins[0])["access_token"]
        cls.option = lark.RequestOption.builder().user_access_token(token).build()

    def search(self, query, size=50, page_token=None):
        request = SearchDepartmentRequest.builder().department_id_type("open_department_id").page_size(size)
        request = request.page_token(page_token) if page_token else request
        request = request.request_body(SearchDepartmentRequestBody.builder().query(query).build()).build()
        # Each call gets its own option: the SDK writes into it.
        return good(client().contact.v3.department.search(request, copy.deepcopy(self.option)))

    def sales(self):
        found = [item for item in self.search("销售部").items if item.name == "销售部"]
        self.assertEqual(len(found), 1, "the company has one 销售部")
        return found[0]

    def test_search_finds_by_name_with_a_user_token(self):
        sales = self.sales()
        self.assertRegex(sales.open_department_id, r"^od-\w{32}$")
        self.assertTrue(sales.parent_department_id)
        self.assertIsInstance(sales.member_count, int)
        self.assertGreater(sales.member_count, 0)
        self.assertFalse(sales.status.is_deleted)

    def test_search_gives_pages(self):
        whole = self.search("部")
        self.assertIs(whole.has_more, False)
        ids, token = [], None
        for _ in range(60):
            page = self.search("部", 3, token)
            self.assertLessEqual(len(page.items), 3)
            ids += [item.open_department_id for item in page.items]
            token = page.page_token
            if not page.has_more:
                break
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(set(ids), {item.open_department_id for item in whole.items})

    def test_a_name_that_nobody_has_finds_nothing(self):
        self.assertEqual(self.search("没有这个部门").items or [], [])

    def test_search_takes_no_tenant_token(self):
        uri = "/open-apis/contact/v3/departments/search"
        status, answer = raw(lark.HttpMethod.POST, uri, {"query": "销售部"})
        self.assertGreaterEqual(status, 400)
        self.assertIn(answer["code"], (99991663, 99991668))

    def test_children_of_a_department(self):
        def children(deep):
            request = ChildrenDepartmentRequest.builder().department_id(self.sales().open_department_id)
            request = request.department_id_type("open_department_id").fetch_child(deep).page_size(50).build()
            return good(client().contact.v3.department.children(request))

        direct = children(False)
        self.assertGreater(len(direct.items), 0, "销售部 has sub-departments")
        for item in direct.items:
            self.assertEqual(item.parent_department_id, self.sales().open_department_id)
            self.assertTrue(item.name)
        self.assertGreaterEqual(len(children(True).items), len(direct.items))


class Batches(unittest.TestCase):
    """The SDK has no model of `batch_send`, only of what follows it."""

    uri = "/open-apis/message/v4/batch_send/"
    nobody = "ou_" + "0" * 32

    def send(self, **body):
        return raw(lark.HttpMethod.POST, self.uri, {"msg_type": "text", "content": {"text": "大家好"}, **body})

    def progress(self, batch):
        request = GetProgressBatchMessageRequest.builder().batch_message_id(batch).build()
        return client().im.v1.batch_message.get_progress(request)

    def until(self, batch, done, what):
        end = time.monotonic() + BATCH_SECONDS
        while True:
            answer = self.progress(batch)
            # 230030: the platform does not know the batch yet, in its first moments.
            if answer.success() and done(answer.data):
                return answer.data
            if not answer.success():
                self.assertEqual(answer.code, 230030, answer.raw.content)
            self.assertLess(time.monotonic(), end, f"not {what} within {BATCH_SECONDS} s: {answer.raw.content}")
            time.sleep(0.3)

    def test_a_batch_from_sending_to_recalling(self):
        status, answer = self.send(open_ids=[here.admins[0], self.nobody])
        self.assertEqual((status, answer["code"]), (200, 0), answer)
        data = answer["data"]
        self.assertRegex(data["message_id"], r"^bm-\w{32}$")
        self.assertEqual(data["invalid_open_ids"], [self.nobody])
        for other in ("invalid_department_ids", "invalid_user_ids", "invalid_union_ids"):
            self.assertFalse(data.get(other))
        batch = data["message_id"]

        def delivered(told):
            return told.batch_message_send_progress.success_user_ids_count == 1

        sent = self.until(batch, delivered, "delivered").batch_message_send_progress
        self.assertEqual(sent.valid_user_ids_count, 1)
        self.assertIsInstance(sent.read_user_ids_count, int)
        self.assertLessEqual(sent.read_user_ids_count, sent.success_user_ids_count)

        request = ReadUserBatchMessageRequest.builder().batch_message_id(batch).build()
        read = good(client().im.v1.batch_message.read_user(request)).read_user
        self.assertEqual(read.total_count, "1", "these two counts are strings")
        self.assertIn(read.read_count, ("0", "1"))

        request = DeleteBatchMessageRequest.builder().batch_message_id(batch).build()
        self.assertTrue(client().im.v1.batch_message.delete(request).success())
        self.until(batch, lambda told: told.batch_message_recall_progress.recall, "recalled")

    def test_a_batch_nobody_sent_is_unknown(self):
        answer = self.progress("bm-" + "0" * 32)
        self.assertEqual((answer.raw.status_code, answer.code), (400, 230030))

    def test_what_the_platform_refuses(self):
        wrong = {
            "content as a string": {"content": '{"text":"hi"}', "open_ids": here.admins[:1]},
            "nobody at all": {},
            "the root": {"department_ids": ["0"]},
            "more than 200": {"open_ids": [f"ou_{n:032x}" for n in range(201)]},
            "an unknown type": {"msg_type": "audio", "open_ids": here.admins[:1]},
        }
        for what, body in wrong.items():
            with self.subTest(what):
                status, answer = self.send(**body)
                # Errors of this old endpoint come with 200.
                self.assertEqual(status, 200)
                self.assertNotEqual(answer["code"], 0)
                self.assertFalse((answer.get("data") or {}).get("message_id"))


def main():
    global here
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    where = arguments.add_mutually_exclusive_group(required=True)
    where.add_argument("--playground", help="the program to start")
    where.add_argument("--page", help="a running playground, http://127.0.0.1:PORT")
    arguments.add_argument("names", nargs="*", help="only these tests, as unittest names them")
    asked = arguments.parse_args()
    leave_politely()
    with ExitStack() as stack:
        here = stack.enter_context(playground(asked.playground)) if asked.playground else Connection.at(asked.page)
        version = lark.core.const.VERSION
        print(f"lark-oapi {version}, bot at {here.bot_url}, simulated Feishu at {here.tenant_url}", flush=True)
        names = asked.names or None
        outcome = unittest.main(module=__name__, argv=["sdk.py"], defaultTest=names, exit=False, verbosity=2)
        code = 0 if outcome.result.wasSuccessful() else 1
    sys.exit(code)


if __name__ == "__main__":
    main()
