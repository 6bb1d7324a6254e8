"""One key, one purpose: what was sealed for one opens for no other, with the right AAD and the same data key."""

from itertools import product

import pytest

from keystead.crypto import compact, envelope, stream
from keystead.crypto.kdf import derive
from keystead.crypto.purpose import Purpose, label
from keystead.errors import DecryptionError

DATA_KEY = bytes(range(32))
REFERENCE = bytes(8)
FORMS = ("v1", "v2", "stream")


def test_no_two_formats_and_purposes_share_a_label_or_a_key():
    labels = {label(form, purpose) for form, purpose in product(FORMS, Purpose)}
    assert len(labels) == len(FORMS) * len(Purpose)
    keys = {derive(DATA_KEY, salt=b"", info=info) for info in labels}
    assert len(keys) == len(labels)


def test_no_label_is_the_beginning_of_another():
    labels = [label(form, purpose) for form, purpose in product(FORMS, Purpose)]
    assert not [(a, b) for a in labels for b in labels if a != b and a.startswith(b)]


@pytest.mark.parametrize(
    ("sealed_for", "opened_for"), [pair for pair in product(Purpose, Purpose) if pair[0] != pair[1]]
)
def test_compact_ciphertext_and_stream_of_one_purpose_open_for_no_other(sealed_for, opened_for):
    blob = compact.new_message_key(REFERENCE, DATA_KEY, sealed_for).seal(b"x", b"aad")
    assert compact.message_key_for(blob[:60], DATA_KEY, sealed_for).open(blob, b"aad") == b"x"
    with pytest.raises(DecryptionError):
        compact.message_key_for(blob[:60], DATA_KEY, opened_for)
    sealer = stream.StreamSealer(REFERENCE, DATA_KEY, aad=b"aad", purpose=sealed_for)
    with pytest.raises(DecryptionError):
        stream.StreamOpener(sealer.header, DATA_KEY, aad=b"aad", purpose=opened_for)


@pytest.mark.parametrize("purpose", Purpose)
def test_the_bytes_under_one_format_do_not_open_under_another(purpose):
    """The same iv, ciphertext, tag and AAD are carried over, with only the derived key differing."""
    v1 = envelope.EnvelopeKey("default-1", DATA_KEY)
    _, iv, ciphertext, tag, _ = envelope.parse(dict(v1.seal(b"value", b"", 1)))
    v2 = compact.new_message_key(REFERENCE, DATA_KEY, purpose)
    carried = v2.prefix + iv + ciphertext + tag
    with pytest.raises(DecryptionError):
        compact.message_key_for(carried[:60], DATA_KEY, purpose).open(carried, b"")
    blob = v2.seal(b"value", b"")
    with pytest.raises(DecryptionError):
        v1.open(("default-1", blob[60:72], blob[72:-16], blob[-16:], blob[:72]), None)


def test_a_stream_salt_and_a_compact_salt_lead_to_different_keys():
    both = [derive(DATA_KEY, salt=bytes(16), info=label(form, Purpose.STREAM), length=64) for form in ("v2", "stream")]
    assert both[0] != both[1]
    assert both[0][:32] != both[0][32:], "the commitment tells nothing of the key beside it"
