"""Ends of certificates, against the library that makes them."""

from datetime import UTC, datetime

import pytest
from cryptography import x509

from webhook.certificates import self_signed
from webhook.validity import ends


@pytest.mark.parametrize("year", [1980, 2026, 2049, 2060], ids=lambda year: f"made in {year}")
def test_the_end_is_the_one_that_the_library_reads(year: int) -> None:
    pair = self_signed(["a.b.svc", "::1"], datetime(year, 3, 1, 12, 30, 59, tzinfo=UTC))
    chain = pair.certificate + pair.ca
    expected = [each.not_valid_after_utc.timestamp() for each in x509.load_pem_x509_certificates(chain)]
    assert ends(b"some text before\n" + chain) == expected
    assert len(expected) == 2


def test_every_cut_of_a_certificate_is_a_value_error_or_nothing() -> None:
    pem = self_signed(["a"], datetime(2026, 1, 1, tzinfo=UTC)).certificate
    head, body, tail = pem.partition(b"\n")[0], pem.splitlines()[1:-1], pem.splitlines()[-1]
    for lines in range(len(body)):
        with pytest.raises(ValueError):
            ends(b"\n".join([head, *body[:lines], tail]))


def test_what_holds_no_certificate_has_no_end() -> None:
    assert ends(b"") == []
    assert ends(b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n") == []
