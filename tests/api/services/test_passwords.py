"""Passwords are kept as they should be; the other tests make cheaper hashes."""

import pytest

from api.services import passwords
from api.services.passwords import Passwords
from tests.api.conftest import PASSWORD_PARAMETERS


async def test_what_is_kept_is_as_dear_to_guess_as_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = await Passwords().hash("a password")
    monkeypatch.setattr(passwords, "PARAMETERS", PASSWORD_PARAMETERS)
    made = Passwords()
    kept = await made.hash("a password")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await made.fits(kept, "a password")
    assert not await made.fits(kept, "another")
    # one that was made with less is good still, and made again at the next sign-in
    assert await made.fits(cheap, "a password")
    assert (made.is_outdated(cheap), made.is_outdated(kept)) == (True, False)
