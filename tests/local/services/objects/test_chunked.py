"""aws-chunked decoding, wherever the network cuts the body, with AWS's own worked examples."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.services.objects.chunked import Chain, Decoder
from local.services.objects.errors import S3Error
from local.services.objects.keys import Key
from local.services.objects.request import Message, Request
from local.services.objects.signature import Claim, Signer

BODY = b"a" * 65_536 + b"a" * 1024

# Amazon S3 API reference, "Signature calculations for the authorization header: transferring payload in chunks"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)


async def no_body() -> Message:
    raise AssertionError("the body comes from elsewhere")


def example_signer() -> Signer:
    key = Key.model_validate(
        {"access_key": "AKIAIOSFODNN7EXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
    )
    claim = Claim(key.access_key, "20130524/us-east-1/s3/aws4_request", (), SEED, "20130524T000000Z", None, "")
    return Signer(key, claim, Request("PUT", "/", (), {}, no_body))


def encoded(*, signatures: tuple[str, ...] = CHUNKS) -> bytes:
    pieces = (BODY[:65_536], BODY[65_536:], b"")
    return b"".join(
        f"{len(piece):x};chunk-signature={signature}\r\n".encode() + piece + b"\r\n"
        for piece, signature in zip(pieces, signatures, strict=True)
    )


def decode(body: bytes, cuts: list[int], chain: Chain, *, with_trailer: bool = False) -> tuple[bytes, dict[str, str]]:
    async def pieces() -> AsyncIterator[bytes]:
        edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
        for start, end in pairwise(edges):
            if start < end:
                yield body[start:end]

    async def collect() -> tuple[bytes, dict[str, str]]:
        decoder = Decoder(pieces(), chain, with_trailer=with_trailer)
        return b"".join([piece async for piece in decoder]), decoder.trailer

    return asyncio.run(collect())


@given(st.lists(st.integers(0, 70_000), max_size=6))
def test_the_example_of_the_documentation_is_decoded_however_it_is_cut(cuts: list[int]) -> None:
    assert decode(encoded(), cuts, Chain(example_signer(), SEED)) == (BODY, {})


@pytest.mark.parametrize("which", [0, 1, 2])
def test_every_signature_of_the_chain_counts(which: int) -> None:
    wrong = tuple("0" * 64 if number == which else signature for number, signature in enumerate(CHUNKS))
    with pytest.raises(S3Error) as refused:
        decode(encoded(signatures=wrong), [], Chain(example_signer(), SEED))
    assert refused.value.code == "SignatureDoesNotMatch"


@given(
    st.lists(st.binary(min_size=1, max_size=300), max_size=5),
    st.lists(st.integers(0, 2000), max_size=8),
    st.booleans(),
)
def test_any_chunks_and_a_trailer_are_decoded_however_they_are_cut(
    chunks: list[bytes], cuts: list[int], newline_only: bool
) -> None:
    end = b"\n" if newline_only else b"\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    body += b"0\r\nX-Amz-Checksum-Crc32: AAAAAA==" + end + b"\r\n"
    assert decode(body, cuts, Chain(None, ""), with_trailer=True) == (
        b"".join(chunks),
        {"x-amz-checksum-crc32": "AAAAAA=="},
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"5\r\nab",
        b"5\r\nabcdefg\r\n0\r\n\r\n",
        b"-1\r\n",
        b"0x5\r\nabcde\r\n0\r\n\r\n",
        b"5_0\r\n",
        b"5;other=1\r\nabcde\r\n0\r\n\r\n",
        b"\xff\r\n",
        b"f" * 17 + b"\r\n",
        b"0" * 5000,
    ],
)
def test_what_is_no_chunk_is_refused(body: bytes) -> None:
    with pytest.raises(S3Error) as refused:
        decode(body, [1], Chain(None, ""))
    assert refused.value.status == 400


def test_the_example_is_as_long_as_the_documentation_says() -> None:
    assert len(encoded()) == 66_824
    assert hashlib.sha256(BODY[65_536:]).hexdigest().startswith("2edc986847e209b4016e141a6dc8716d")
