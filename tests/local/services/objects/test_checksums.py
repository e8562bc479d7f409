"""Checksums against their published check values and against zlib."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.services.objects.checksums import PREFIX, Promises, TableCrc
from local.services.objects.errors import S3Error

CHECK = {  # of b"123456789", from the catalogue of parametrised CRC algorithms
    "crc32": "cbf43926",
    "crc32c": "e3069283",
    "crc64nvme": "ae8b14860a799888",
}


@pytest.mark.parametrize("name", CHECK)
def test_a_crc_has_its_published_check_value(name: str) -> None:
    value = base64.b64encode(bytes.fromhex(CHECK[name])).decode()
    promises = Promises({PREFIX + name: value})
    promises.update(b"12345")
    promises.update(b"6789")
    assert promises.verify({}) == {PREFIX + name: value}


@given(st.lists(st.binary(max_size=50), max_size=4))
def test_the_table_agrees_with_zlib(pieces: list[bytes]) -> None:
    crc = TableCrc(0xEDB88320, 4)
    for piece in pieces:
        crc.update(piece)
    assert crc.digest() == zlib.crc32(b"".join(pieces)).to_bytes(4, "big")


def test_every_promise_is_verified_not_only_the_first() -> None:
    good = base64.b64encode(zlib.crc32(b"data").to_bytes(4, "big")).decode()
    promises = Promises({PREFIX + "crc32": good, "content-md5": base64.b64encode(bytes(16)).decode()})
    promises.update(b"data")
    with pytest.raises(S3Error, match="content-md5"):
        promises.verify({})


def test_headers_about_checksums_are_no_checksums() -> None:
    headers = {
        "x-amz-checksum-algorithm": "CRC32",
        "x-amz-checksum-mode": "ENABLED",
        "x-amz-sdk-checksum-algorithm": "x",
    }
    assert Promises(headers).verify({}) == {}
