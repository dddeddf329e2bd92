"""email.send over real SMTP."""

import pytest

from support import EXAMPLE
from support.waiting import until

MESSAGE = {"to": "ada@example.org", "subject": "Grüße", "body": "One line\n.\nthe end\n"}


@pytest.fixture
def mailing(redis_worker, mail):
    return redis_worker(
        "--child-env", "SMTP_HOST", "--child-env", "SMTP_PORT", app=EXAMPLE,
        environment={"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail.port)}).ready()  # fmt: skip


def test_a_message_arrives(mailing, app, mail):
    app.send_task("email.send", kwargs=MESSAGE).get(timeout=15)
    [arrived] = mail.messages
    assert arrived.rcpt_tos == ["ada@example.org"]
    from email import message_from_bytes, policy

    read = message_from_bytes(arrived.content, policy=policy.default)
    assert read["To"] == "ada@example.org" and read["Subject"] == "Grüße"
    assert read.get_content().replace("\r\n", "\n").rstrip("\n") == MESSAGE["body"].rstrip("\n")


def test_a_refusal_is_retried_later(mailing, app, mail, redis, results):
    mail.refusals = 1
    sent = app.send_task("email.send", kwargs=MESSAGE)
    retry = results.wait(sent.id, "RETRY", timeout=15)
    # Whose mail, and why not in the server's own words.
    assert "ada@example.org" in repr(retry["result"]) and "451 try again later" in repr(retry["result"])
    assert mail.attempts == 1 and mail.messages == []
    # 60 seconds on, not now: it is parked.
    until(lambda: redis.hlen("unacked") == 1, what="the retry to be parked")


@pytest.mark.parametrize("field", ["to", "subject"])
def test_a_header_can_not_be_smuggled_in(mailing, app, mail, field):
    sent = app.send_task("email.send", kwargs=MESSAGE | {field: "x@example.org\r\nBcc: eve@example.org"})
    sent.get(timeout=15, propagate=False)
    for arrived in mail.messages:
        assert "eve@example.org" not in arrived.rcpt_tos
        assert b"\r\nBcc:" not in arrived.content
