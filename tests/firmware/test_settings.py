"""Settings come back from flash as they were, or not at all."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.refusal import SETTING_OUTSIDE, Refused
from controller.settings import Settings, crc32
from desk.transcript import Desk


@given(st.integers(1_000, 1_000_000), st.integers(10_000, 25_600_000))
def test_settings_survive_flash(acceleration: int, steps: int) -> None:
    settings = Settings()
    settings.value[120], settings.value[101] = acceleration, steps
    again = Settings()
    assert again.unpack(settings.pack())
    assert again.value == settings.value


@given(st.data())
def test_damage_anywhere_is_noticed_and_leaves_the_defaults(data: st.DataObject) -> None:
    stored = bytearray(Settings().pack())
    at = data.draw(st.integers(0, len(stored) - 2))
    stored[at] ^= data.draw(st.integers(1, 255))
    settings = Settings()
    settings.value[120] = 1_234
    assert not settings.unpack(bytes(stored))
    assert settings.value[120] == 1_234


@given(st.binary(max_size=200))
def test_the_check_sum_is_the_usual_crc_32(content: bytes) -> None:
    assert crc32(content) == zlib.crc32(content)


@pytest.mark.parametrize("line", [(21, "0"), (130, "301"), (24, "0.5"), (200, "0.4")])
def test_what_would_not_be_safe_is_refused(line: tuple[int, str]) -> None:
    with pytest.raises(Refused) as refused:
        Settings().set(*line)
    assert refused.value.code == SETTING_OUTSIDE


@pytest.mark.parametrize("line", ["$4=1", "$3=1", "$27=0.5", "$100=800", "$130=50"])
def test_what_frees_the_motors_or_moves_zero_makes_it_home_again(line: str) -> None:
    desk = Desk()
    desk.send(b"$H\n")
    desk.wait_ms(20_000)
    desk.send(b"?")
    desk.wait_ms(5)
    assert any("|H:1|" in said for said in desk.heard())
    desk.send(line.encode() + b"\n")
    desk.wait_ms(50)
    desk.send(b"?")
    desk.wait_ms(5)
    assert any(said.startswith("<Alarm|") and "|H:0|" in said for said in desk.heard())
