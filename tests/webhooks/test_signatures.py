"""Golden vectors, the public library as the reference, and every way to be wrong."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st

from webhooks import signatures
from webhooks.signatures import Proof

NOW = dt.datetime(2026, 1, 15, 10, 30, tzinfo=dt.UTC)
BODY = b'{"service_name": "payment-service", "version": "1.3.0"}'
SECRET = "webhook-secret-key"
OLD_SECRET = "the-one-before"
STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def evaluate(
    headers: Mapping[str, str],
    *,
    body: bytes = BODY,
    secrets: tuple[str, ...] = (SECRET, OLD_SECRET),
    shown_secret: str | None = None,
    now: dt.datetime = NOW,
) -> Proof:
    return signatures.evaluate(body, headers, secrets=secrets, shown_secret=shown_secret, now=now)


def standard(secret: str = SECRET, *, at: dt.datetime = NOW, body: bytes = BODY) -> dict[str, str]:
    return signatures.sign_standard(
        body, message_id="msg_1", timestamp=int(at.timestamp()), secrets=[secret]
    )


# --- Golden vectors -------------------------------------------------------------------------------


def test_signs_as_githubs_documentation_prints_it() -> None:
    signature = signatures.sign_body(b"Hello, World!", secret="It's a Secret to Everybody")

    assert signature == ("sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")


def test_signs_as_standard_webhooks_prints_it() -> None:
    headers = signatures.sign_standard(
        b'{"test": 2432232314}',
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        secrets=[STANDARD_SECRET],
    )

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_accepts_the_printed_standard_signature() -> None:
    proof = evaluate(
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        body=b'{"test": 2432232314}',
        secrets=(STANDARD_SECRET,),
        now=dt.datetime.fromtimestamp(1614265330, dt.UTC),
    )

    assert proof is Proof.SIGNATURE


def test_accepts_what_the_public_library_signs() -> None:
    now = dt.datetime.now(dt.UTC)
    library = standardwebhooks.Webhook(STANDARD_SECRET)
    headers = {
        "webhook-id": "msg_2",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": library.sign("msg_2", now, BODY.decode()),
    }

    assert evaluate(headers, secrets=(STANDARD_SECRET,), now=now) is Proof.SIGNATURE


def test_the_public_library_accepts_what_we_sign() -> None:
    headers = standard(STANDARD_SECRET, at=dt.datetime.now(dt.UTC))

    document = standardwebhooks.Webhook(STANDARD_SECRET).verify(BODY.decode(), headers)

    assert document["version"] == "1.3.0"


# --- Right ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
@pytest.mark.parametrize("shape", ["{}", "sha256={}", " {} ", "SHA256={}"])
def test_accepts_a_body_signature_of_either_secret(secret: str, shape: str) -> None:
    digest = signatures.sign_body(BODY, secret=secret).removeprefix("sha256=")

    assert evaluate({"x-webhook-signature": shape.format(digest)}) is Proof.SIGNATURE


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_accepts_githubs_header_of_either_secret(secret: str) -> None:
    headers = {"x-hub-signature-256": signatures.sign_body(BODY, secret=secret)}

    assert evaluate(headers) is Proof.SIGNATURE


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
@pytest.mark.parametrize("skew_seconds", [-300, 0, 300])
def test_accepts_a_standard_signature_of_either_secret(secret: str, skew_seconds: int) -> None:
    at = NOW + dt.timedelta(seconds=skew_seconds)

    assert evaluate(standard(secret, at=at)) is Proof.SIGNATURE


def test_accepts_one_right_standard_signature_among_several() -> None:
    headers = standard()
    headers["webhook-signature"] = f"v1,wrong v1a,other {headers['webhook-signature']}"

    assert evaluate(headers) is Proof.SIGNATURE


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_accepts_either_secret_itself(secret: str) -> None:
    assert evaluate({}, shown_secret=secret) is Proof.SECRET


def test_nothing_shown_is_nothing() -> None:
    assert evaluate({}) is Proof.NOTHING


def test_a_signature_is_over_the_raw_bytes() -> None:
    respaced = BODY.replace(b": ", b":")
    headers = {"x-webhook-signature": signatures.sign_body(BODY, secret=SECRET)}

    assert evaluate(headers, body=respaced) is Proof.WRONG


# --- Wrong ----------------------------------------------------------------------------------------

RIGHT = signatures.sign_body(BODY, secret=SECRET)


@pytest.mark.parametrize(
    "presented",
    [
        "",
        "sha256=",
        "sha1=" + RIGHT[7:],
        RIGHT[:-1],
        RIGHT[:20],
        RIGHT + "0",
        RIGHT[:-1] + ("0" if RIGHT[-1] != "0" else "1"),
        RIGHT[7:] + RIGHT[7:],
        "é" * 64,
        "sha256=" + "é" * 64,
        "\udcff" * 64,
        "None",
        "v1," + RIGHT,
    ],
)
@pytest.mark.parametrize("header", ["x-webhook-signature", "x-hub-signature-256"])
def test_refuses_a_wrong_hex_signature(header: str, presented: str) -> None:
    assert evaluate({header: presented}) is Proof.WRONG


def test_githubs_header_needs_its_prefix() -> None:
    assert evaluate({"x-hub-signature-256": RIGHT.removeprefix("sha256=")}) is Proof.WRONG


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1"},
        {"webhook-signature": ","},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": standard()["webhook-signature"][:-1]},
        {"webhook-signature": standard()["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": standard()["webhook-signature"].removeprefix("v1,")},
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "١٧٦٨٤٧٣٠٠٠"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
    ],
)
def test_refuses_a_wrong_standard_signature(changed: dict[str, str]) -> None:
    assert evaluate({**standard(), **changed}) is Proof.WRONG


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp"])
def test_refuses_a_standard_signature_without_its_other_headers(missing: str) -> None:
    headers = standard()
    del headers[missing]

    assert evaluate(headers) is Proof.WRONG


@pytest.mark.parametrize("skew_seconds", [-301, 301])
def test_refuses_a_standard_signature_out_of_tolerance(skew_seconds: int) -> None:
    at = NOW + dt.timedelta(seconds=skew_seconds)

    assert evaluate(standard(at=at)) is Proof.WRONG


def test_a_wrong_signature_is_wrong_beside_a_right_secret() -> None:
    assert evaluate({"x-webhook-signature": "0" * 64}, shown_secret=SECRET) is Proof.WRONG


def test_a_wrong_signature_is_wrong_beside_a_right_one() -> None:
    headers = {**standard(), "x-webhook-signature": "0" * 64}

    assert evaluate(headers) is Proof.WRONG


@pytest.mark.parametrize("shown", ["", SECRET[:-1], SECRET + "x", "é", SECRET.upper()])
def test_refuses_a_secret_that_is_another(shown: str) -> None:
    assert evaluate({}, shown_secret=shown) is Proof.WRONG


def test_no_secret_at_all_proves_nothing() -> None:
    headers = {"x-webhook-signature": RIGHT}

    assert evaluate(headers, secrets=()) is Proof.WRONG


# --- Keys -----------------------------------------------------------------------------------------


def test_a_key_is_the_secrets_bytes_or_what_follows_the_prefix() -> None:
    assert signatures.key_of("schlüssel") == "schlüssel".encode()
    assert signatures.key_of("whsec_aGVsbG8=") == b"hello"


@pytest.mark.parametrize("secret", ["whsec_", "whsec_***", "whsec_abc"])
def test_refuses_a_prefix_without_a_key(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        signatures.key_of(secret)


@settings(max_examples=200, deadline=None)
@given(
    presented=st.text(max_size=200),
    header=st.sampled_from(["x-webhook-signature", "x-hub-signature-256", "webhook-signature"]),
)
def test_nothing_made_up_is_ever_right_or_an_error(presented: str, header: str) -> None:
    assert evaluate({**standard(), header: presented}) is Proof.WRONG
