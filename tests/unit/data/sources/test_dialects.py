"""How text files are told apart, and what is done about those that nothing fits."""

import pytest
from structlog.testing import capture_logs

from pipelines.data.sources import create_source, csv_reading
from pipelines.errors import ConfigurationError, SourceError
from tests.sources import read_all

HEADER = "user_id;book_id;note\n"


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, **options):
        path = tmp_path / "ratings.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with capture_logs() as logs:
            found = read_all("interactions", path, **options)
        (told,) = [entry for entry in logs if entry["event"] == "dialect_detected"]
        return found, told

    return write_and_read


def ids(found):
    return list(
        zip(found.ratings["user_id"].to_pylist(), found.ratings["book_id"].to_pylist(), strict=True)
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (HEADER + "1;a;x\n", ("doubled", "LF")),
        (HEADER + '"1";"a";"x;""y"" z"\n', ("doubled", "LF")),
        (HEADER + '"1";"a";"x;\\"y\\"; z"\r\n"2";"b";""\r\n', ("backslash", "CRLF")),
        (HEADER.replace("\n", "\r") + '1;"""a""";x\r2;"""b""";y\r', ("triple", "CR")),
        (HEADER + '1;a;"x\n2;b;5" wide\n3;c;"y\n', ("none", "LF")),
    ],
)
def test_quoting_and_line_ends_are_told_by_evidence(read, content, told):
    found, entry = read(content)
    assert (entry["quoting"], entry["line_ends"]) == told
    assert entry["forced"] == []
    assert ids(found) == [("1", "a"), ("2", "b"), ("3", "c")][: len(found.ratings)]
    assert len(found.rejected) == 0


def test_stray_quote_costs_its_own_line_only(read):
    rows = [f'{i};{i};"{i}"\n' for i in range(1, 3001)]
    rows[9], rows[1999] = '10;"10;x\n', '2000;y"\n'
    found, entry = read(HEADER + "".join(rows))
    assert entry["quoting"] == "doubled"
    assert [(r["row"], r["rule"]) for r in found.rejected.to_pylist()] == [
        (10, "unclosed_quote"),
        (2000, "wrong_field_count"),
    ]
    assert len(found.ratings) == 2998


def test_quote_that_closes_far_below_swallows_no_rows(read):
    rows = [f"{i};b{i};x\n" for i in range(1, 101)]
    rows[9], rows[49] = '10;"b10;x\n', '50;b50";x\n'  # together they would be one row of three
    found, _ = read(HEADER + "".join(rows))
    assert [r["row"] for r in found.rejected.to_pylist()] == [10]
    assert len(found.ratings) == 99


def test_quote_open_at_the_end_of_the_file_is_a_torn_line(read):
    found, _ = read(HEADER + '1;a;"x"\n2;b;"y"\n3;c;"z')
    assert ids(found) == [("1", "a"), ("2", "b")]
    assert found.rejected["rule"].to_pylist() == ["unclosed_quote"]


def test_value_of_many_lines_is_one_value(read):
    text = "\n".join(f"line {i}, with commas" for i in range(500))
    found, _ = read(HEADER + f'1;a;"{text}"\n2;b;"x"\n')
    assert ids(found) == [("1", "a"), ("2", "b")]
    assert found.ratings["row"].to_pylist() == [1, 2]


def test_line_in_another_quoting_is_read_in_it_and_counted(read):
    plain = "".join(f'"{i}";"a";"x"\n' for i in range(50_000))  # beyond what detection sees
    found, entry = read(f'{HEADER}{plain}"x";"b";"say \\"; \\" to"\n')
    assert entry["quoting"] == "doubled"
    assert ids(found)[-1] == ("x", "b")
    assert found.repairs == {"other_quoting": 1}


@pytest.mark.parametrize("late", [b"\xe9", b"\x81"])
def test_byte_that_belies_a_guessed_encoding_late_is_read_and_logged(tmp_path, late):
    path = tmp_path / "ratings.csv"
    path.write_bytes(b"user_id,book_id\n" + b"1,a\n" * 100_000 + b"2,x" + late + b"x\n")
    with capture_logs() as logs:
        found = read_all("interactions", path)
    assert [e["encoding"] for e in logs if e["event"] == "encoding_mixed"] == ["utf-8"]
    assert len(found.ratings) + len(found.rejected) == 100_001
    texts = found.ratings["book_id"].to_pylist()[-1] + "".join(
        found.rejected["original"].to_pylist()
    )
    assert late.decode("latin-1") in texts


def test_sign_that_two_reads_share_survives_a_change_of_encoding(read, monkeypatch):
    head = b"user_id,book_id\n1,\xc3"
    monkeypatch.setattr(csv_reading, "HEAD_BYTES", len(head))
    found, _ = read(head + b"\xa9\n2,\xe8\n")
    assert ids(found) == [("1", "é"), ("2", "è")]


def test_lines_of_delimiters_alone_are_no_rows(read):
    found, _ = read(HEADER + ";;\n1;a;x\n \t\n; ;\n2;b;\n")
    assert ids(found) == [("1", "a"), ("2", "b")]
    assert found.ratings["row"].to_pylist() == [1, 2]
    assert len(found.rejected) == 0


@pytest.mark.parametrize(
    ("content", "options", "found_id"),
    [
        ("user_id^book_id\n1^a;b\n", {"delimiter": "^"}, "a;b"),
        ("user_id;book_id;x,y,z\n1;a,b;\n", {"delimiter": "semicolon"}, "a,b"),
        ('user_id,book_id\n1,"a"\n', {"quoting": "none"}, '"a"'),
        ("user_id,book_id\n1,zoë\n".encode("cp437"), {"encoding": "cp437"}, "zoë"),
    ],
)
def test_what_is_forced_is_not_detected(read, content, options, found_id):
    found, entry = read(content, **options)
    assert found.ratings["book_id"].to_pylist() == [found_id]
    assert entry["forced"] == sorted(options)


def test_forced_encoding_that_does_not_fit_is_refused(read):
    with pytest.raises(SourceError, match="is not ascii throughout"):
        read("user_id,book_id\n1,é\n", encoding="ascii")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": "::"}, "give one sign of ASCII"),
        ({"delimiter": '"'}, "give one sign of ASCII"),
        ({"encoding": "klingon"}, "such as utf-8"),
        ({"encoding": "base64"}, "such as utf-8"),
        ({"quoting": "french"}, "doubled, backslash, triple, none"),
        ({"colour": "red"}, "delimiter, encoding, quoting"),
    ],
)
def test_option_that_cannot_be_names_those_that_can(options, message):
    with pytest.raises(ConfigurationError, match=message):
        create_source("interactions", options)


def test_source_without_options_says_so():
    with pytest.raises(ConfigurationError, match="sample has no option x: those it has are none"):
        create_source("sample", {"x": "1"})
