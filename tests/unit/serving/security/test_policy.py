import pytest
from pydantic import SecretStr

from pipelines.errors import ConfigurationError
from pipelines.settings import Settings
from serving.security.policy import refuse_unsafe, signing_keys

KEY = {"k": "k" * 32}
STRONG, WEAK = "seven wild geese", "short"


def production(**security: object) -> Settings:
    token = {"admin_token": security.pop("admin_token", "t" * 32)}
    return Settings(environment="production", api=token, security=security)


def test_development_starts_with_nothing():
    refuse_unsafe(Settings(security={"first_admin_password": "a", "open_to_anyone": True}))


def test_production_starts_with_secrets_of_its_own():
    refuse_unsafe(production(signing_keys=KEY, first_admin_password=STRONG))


def test_every_fault_is_named_in_one_line():
    with pytest.raises(ConfigurationError) as caught:
        refuse_unsafe(production(open_to_anyone=True, first_admin_password=WEAK, admin_token=WEAK))
    line = str(caught.value)
    assert "\n" not in line
    for name in ("SIGNING_KEYS", "FIRST_ADMIN_PASSWORD", "OPEN_TO_ANYONE", "API__ADMIN_TOKEN"):
        assert name in line
    assert WEAK not in line


@pytest.mark.parametrize(
    "weak",
    ["", "admin", "elevensigns", "Password1234", "p@ssw0rd!!!!", "bookrec-admin-1", "a" * 40,
     "123456789012", "adminadminadmin", "x" * 257],
)  # fmt: skip
def test_a_weak_password_is_refused(weak: str):
    with pytest.raises(ConfigurationError, match="FIRST_ADMIN_PASSWORD"):
        refuse_unsafe(production(signing_keys=KEY, first_admin_password=weak))


@pytest.mark.parametrize(
    "strong", ["admin" * 50 + "zebra", "seven wild geese", "Xk3-9pQ_zL2v", "password of the house"]
)
def test_a_strong_password_is_taken(strong: str):
    refuse_unsafe(production(signing_keys=KEY, first_admin_password=strong))


def test_a_short_signing_key_is_refused_anywhere():
    with pytest.raises(ValueError, match="32 characters"):
        Settings(security={"signing_keys": {"k": "short"}})


def test_development_makes_one_key_for_each_home(tmp_path):
    settings = Settings(home=tmp_path / "one")
    assert signing_keys(settings) == signing_keys(settings)
    assert signing_keys(settings) != signing_keys(Settings(home=tmp_path / "two"))
    assert len(signing_keys(settings)["home"]) >= 32
    assert (tmp_path / "one" / "signing-key").stat().st_mode & 0o077 == 0


def test_chosen_keys_keep_their_order():
    chosen = {"b": SecretStr("b" * 32), "a": SecretStr("a" * 32)}
    assert list(signing_keys(Settings(security={"signing_keys": chosen}))) == ["b", "a"]
