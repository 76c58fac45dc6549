from __future__ import annotations

import json

import pytest
from benchmarks.monitoring import record_line
from support.history_world import AT, finished_line

from runner.history.rows import COLUMNS, FORM, KIND, Record, form_of, joined, kind_of, split
from runner.monitor.records import Recorder


def record(**fields: object) -> Record:
    return dict(json.loads(finished_line(**fields)))  # type: ignore[arg-type]


def rejoined(one: Record) -> Record:
    return joined(json.loads(kind_of(one)), json.loads(form_of(one)), split(one)[1])


def test_every_field_of_a_finished_record_has_its_place() -> None:
    """With an unknown field, each record of a life would be looked at field by field."""
    found = json.loads(record_line(Recorder("erp", "erp-1"), AT, 0))
    assert {*found} == {*COLUMNS, *KIND, *FORM, "output_file"}


def test_the_records_of_a_request_have_one_form_wherever_their_outputs_lie() -> None:
    recorder = Recorder("erp", "erp-1")
    records = [json.loads(record_line(recorder, AT, number, 1)) for number in range(300)]
    assert len({each["output_file"][:-40] for each in records}) > 100, "in many folders"
    assert len({*map(form_of, records)}) == 1
    assert len({split(each)[0] for each in records}) == len({*map(kind_of, records)})


@pytest.mark.parametrize(
    "path",
    ["/o/1/0/{}.out", "/o/{}.out", "/o/{}/{}", "/o/elsewhere", "", None, 7],
)
def test_a_record_comes_back_whatever_its_output_is_called(path: object) -> None:
    one = record()
    name = str(one["execution"])
    one["output_file"] = path.replace("{}", name) if isinstance(path, str) else path
    assert rejoined(one) == one
    assert rejoined(record()).keys() == one.keys()


@pytest.mark.parametrize("name", ["pid", "owner", "node", "output_file"])
def test_records_that_lack_different_fields_have_different_keys(name: str) -> None:
    whole = record()
    lacking = {key: value for key, value in whole.items() if key != name}
    other = {("new" if key == "message" else key): value for key, value in whole.items()}
    assert len({split(each)[0] for each in (whole, lacking, other)}) == 3
    assert rejoined(lacking) == lacking
    assert rejoined(other) == other
