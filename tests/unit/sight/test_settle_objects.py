"""The first schema of objects: spellings of keys, maps, limits."""

from __future__ import annotations

import pytest

from lake_platform.domain.schema import MAX_LEVELS, levels
from tests.settling import UUID, line, settled, types


class TestTwins:
    def test_they_are_one_column_in_the_spelling_seen_most(self) -> None:
        found = settled('{"ID":1}', '{"id":1.5}', '{"id":2}', '{"Id":2}')
        (field_,) = found.struct.fields
        assert (field_.name, str(field_.type), field_.keys) == ("id", "double", ("id", "ID", "Id"))
        assert line(found, "ID").rules == ("alias",)
        assert (line(found, "ID").column, line(found, "ID").share) == ("id", 0.25)
        assert line(found, "id").share == 1

    def test_objects_are_joined(self) -> None:
        found = settled('{"O":{"a":1}}', '{"o":{"b":1}}', '{"o":null}')
        assert types(found) == {"o": "struct<a:long,b:long>"}

    @pytest.mark.parametrize("records", [
        ('{"id":1,"Id":2}', '{"id":1}'),
        ('{"id":1}', '{"Id":{"k":1}}'),
        (*['{"id":"x"}'] * 200, '{"Id":{"k":1}}'),
    ])  # fmt: skip
    def test_two_columns_for_two_things(self, records: tuple[str, ...]) -> None:
        found = settled(*records)
        assert sorted(types(found)) == ["Id", "id_a56145"]
        assert not any(f.rescue for f in found.struct.fields)

    def test_split_is_always_two_columns(self) -> None:
        assert len(types(settled('{"id":1}', '{"Id":1}', case_twins="split"))) == 2

    def test_few_records_with_both_change_nothing(self) -> None:
        assert len(types(settled('{"id":1,"Id":1}', *['{"id":1}'] * 200))) == 1


class TestMaps:
    @pytest.mark.parametrize("keys", [
        [UUID.format(n) for n in range(3)],
        ["10.0.0.1", "10.0.0.2", "::1"],
        ["2026-11-01", "2026-11-02", "2026-11-03T10:00:00Z"],
        ["a@b.de", "c@d.com", "https://x.y/z"],
        ["1234567", "7654321", "5f3a9c0e1b"],
        ["arn:aws:iam::1:user/x", "arn:aws:s3:::b", "arn:aws:s3:::c"],
        [*(UUID.format(n) for n in range(8)), "name", "kind"],
    ])  # fmt: skip
    def test_keys_that_look_like_data(self, keys: list[str]) -> None:
        found = settled(*(f'{{"m":{{"{key}":{{"n":1}}}}}}' for key in keys))
        assert types(found) == {"m": "map<string,struct<n:long>>"}
        assert (line(found, "m").rules, line(found, "m").keys) == (("map",), len(keys))
        assert line(found, "m[].n").column == "m{}.n"

    @pytest.mark.parametrize("keys", [
        ["name", "kind", "id"],
        ["deadbeef", "feedface", "cafebabe"],
        ["k1", "k2", "k3"],
        [UUID.format(1), UUID.format(2)],
    ])  # fmt: skip
    def test_other_keys_are_names(self, keys: list[str]) -> None:
        found = settled(*(f'{{"m":{{"{key}":1}}}}' for key in keys))
        assert line(found, "m").rules == ()

    def test_many_sparse_keys(self) -> None:
        assert types(settled(*(f'{{"m":{{"k{n}":1}}}}' for n in range(101)))) == {
            "m": "map<string,long>"
        }
        whole = ",".join(f'"k{n}":1' for n in range(101))
        assert types(settled(f'{{"m":{{{whole}}}}}'))["m"].startswith("struct<k0:long")

    def test_values_that_do_not_meet_are_json(self) -> None:
        values = ["1", '"x"', '{"k":1}']
        records = [f'{{"m":{{"{UUID.format(n)}":{v}}}}}' for n, v in enumerate(values)]
        assert types(settled(*records)) == {"m": "map<string,json>"}

    def test_off_is_a_struct(self) -> None:
        records = [f'{{"m":{{"{UUID.format(n)}":1}}}}' for n in range(3)]
        assert types(settled(*records, maps="off"))["m"].startswith("struct<")

    def test_more_keys_than_are_kept(self) -> None:
        records = [f'{{"m":{{"k{n}":{n},"l{n}":"x"}},"o":1}}' for n in range(3_000)]
        found = settled(*records)
        assert types(found) == {"m": "map<string,string>", "o": "long"}
        assert line(found, "m").keys == pytest.approx(6_000, rel=0.15)
        assert types(settled(*records, maps="off")) == {"m": "json", "o": "long"}

    def test_named_columns_are_no_maps(self) -> None:
        records = [f'{{"m":{{"{UUID.format(n)}":1,"id":2}}}}' for n in range(9)]
        assert types(settled(*records))["m"] == "map<string,long>"
        found = settled(*records, partition_by=("m.id",))
        assert types(found)["m"].startswith("struct<")


class TestLimits:
    def test_too_deep_is_json(self) -> None:
        record = '{"a":{"b":{"c":1}},"l":[[[1]]],"s":1}'
        assert types(settled(record, max_depth=3)) == {
            "a": "struct<b:struct<c:long>>", "l": "array<array<json>>", "s": "long",
        }  # fmt: skip
        assert types(settled(record, max_depth=1)) == {"a": "json", "l": "json", "s": "long"}
        assert line(settled(record, max_depth=2), "a.b").reason == "nested deeper than 2"

    def test_named_columns_may_be_deep(self) -> None:
        found = settled('{"a":{"b":{"c":1}},"o":{"p":1}}', partition_by=("a.b.c",), max_depth=1)
        assert types(found) == {"a": "struct<b:struct<c:long>>", "o": "json"}

    def test_too_many_columns(self) -> None:
        wide = ",".join(f'"k{n}":1' for n in range(10))
        records = [f'{{"a":{{"b":{{{wide}}}}},"c":{{{wide}}},"d":{{{wide}}}}}',
                   f'{{"d":{{{wide}}}}}']  # fmt: skip
        kinds = types(settled(*records, max_columns=25))
        assert kinds["a"] == "struct<b:json>"
        assert kinds["c"].startswith("struct<")
        kinds = types(settled(*records, max_columns=15))
        assert (kinds["c"], kinds["d"][:7]) == ("json", "struct<")
        kinds = types(settled(*records, max_columns=1, partition_by=("c.k1",)))
        assert (kinds["a"], kinds["c"][:7], kinds["d"]) == ("struct<b:json>", "struct<", "json")

    def test_columns_of_the_record_itself_stay(self) -> None:
        record = "{" + ",".join(f'"k{n}":1' for n in range(50)) + "}"
        assert len(types(settled(record, max_columns=10))) == 50

    def test_columns_in_arrays_and_maps_count(self) -> None:
        record = '{"l":[{"a":1,"b":2}],"m":{' + ",".join(
            f'"{UUID.format(n)}":{{"a":1,"b":2}}' for n in range(3)) + "}}"  # fmt: skip
        kinds = types(settled(record, max_columns=2))
        assert kinds == {"l": "array<json>", "m": "map<string,json>"}

    @pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
    def test_parquet_takes_the_deepest(self, opening: str, closing: str) -> None:
        record = '{"a":' + opening * 99 + "1" + closing * 99 + "}"
        named = ".".join(["a"] * 99)
        for options in ({}, {"max_depth": 40}, {"explode": named}, {"partition_by": (named,)}):
            found = settled(record, **options)
            assert levels(found.struct) <= MAX_LEVELS
            assert "json" in str(found.struct)

    def test_root_with_more_keys_than_are_kept(self) -> None:
        record = "{" + ",".join(f'"k{n}":1' for n in range(2_100)) + "}"
        found = settled(record)
        assert len(found.struct.fields) == 2_000
        assert found.mapped[-1].path == (None,)
        assert found.mapped[-1].rules == ("rescue",)
