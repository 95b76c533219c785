import pytest

from pipelines.data.sources.locations import absolute, parsed_options, short_name, without_password
from pipelines.errors import ConfigurationError, SourceError
from pipelines.run_params import RunParams
from tests.sources import read_all


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://ann:secret@host:5432/shop", "postgresql://ann@host:5432/shop"),
        (
            "postgresql://host/shop?password=secret&passfile=/p",
            "postgresql://host/shop?passfile=/p",
        ),
        ("ftp://ann:se@cret@host/x", "ftp://ann@host/x"),
        ("s3://bucket/a b.csv", "s3://bucket/a b.csv"),
        ("/data/a:secret@b.csv", "/data/a:secret@b.csv"),
        ("postgresql://ann:se/c?r@et@host/shop", "postgresql://ann@host/shop"),
        ("postgresql://host:5432/shop?user=a@b", "postgresql://host:5432/shop?user=a@b"),
        ("https://[host/x?a=1&b=", "https://[host/x?a=1&b="),
        ("s3://bucket/a:b@c.csv?", "s3://bucket/a:b@c.csv?"),
    ],
)
def test_password_is_left_out_of_what_is_recorded(given, shown):
    assert without_password(given) == shown
    params = RunParams(source="postgresql", data_path=given)
    assert params.model_dump()["data_path"] == shown
    assert "secret@host" not in repr(params)
    assert params.data_path == given


def test_address_of_files_with_a_password_is_refused_without_showing_it():
    with pytest.raises(SourceError, match=r"ftp://ann@host/x\.csv was given with") as caught:
        read_all("interactions", "ftp://ann:hunter2@host/x.csv")
    assert "hunter2" not in str(caught.value)


def test_an_address_is_absolute_already(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("s3://bucket/key") == "s3://bucket/key"
    assert absolute("ratings.csv") == str(tmp_path / "ratings.csv")


def test_options_may_hold_any_sign_and_need_a_name():
    given = ["delimiter==", "ratings=SELECT a=1", "delimiter=;"]
    assert parsed_options(given) == {"delimiter": ";", "ratings": "SELECT a=1"}
    for wrong in ("delimiter", "=;"):
        with pytest.raises(ConfigurationError, match="name=value"):
            parsed_options([wrong])


def test_libraries_of_one_source_are_kept_apart():
    addresses = ["postgresql://a@h/one", "postgresql://a@h/two?passfile=x"]
    names = [RunParams(source="postgresql", data_path=a).dataset for a in addresses]
    assert [name.rpartition("-")[0] for name in names] == ["postgresql/one", "postgresql/two"]


def test_named_library_is_the_same_wherever_its_data_lie():
    names = {RunParams(source=s, data_path="/x", library="shop/a.b-c_1").dataset for s in "ab"}
    assert names == {"shop/a.b-c_1"}
    for wrong in ("a b", "/a", "a//b", "a;b", "bücher", "a\n"):
        with pytest.raises(ConfigurationError, match="cannot name a library"):
            RunParams(library=wrong)


def test_places_of_the_same_name_are_told_apart(tmp_path, monkeypatch):
    here, there = tmp_path / "here" / "ratings.csv", tmp_path / "there" / "ratings.csv"
    assert short_name(str(here)).startswith("ratings.csv-")
    assert short_name(str(here)) != short_name(str(there))
    monkeypatch.chdir(tmp_path)
    assert short_name("here/ratings.csv") == short_name(str(here))


def test_a_password_makes_no_other_place():
    with_it = short_name("postgresql://me:hidden@host/shop")
    assert with_it == short_name("postgresql://me@host/shop")
    assert with_it.startswith("shop-")
