"""The benchmark times nobody whose answer is wrong, and hides no target that was missed."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import report
from bench.__main__ import PAGE, PARTS, main
from bench.harness import Contender, fresh, race


def test_a_wrong_answer_is_not_timed() -> None:
    calls = []
    right = Contender("right", lambda: calls.append(1) or 1, lambda out: out == 1)
    wrong = Contender("wrong", lambda: 2, lambda out: out == 1)
    with pytest.raises(AssertionError, match="wrong gives a wrong answer"):
        race([right, wrong])
    assert len(calls) == 1


def test_contenders_take_turns_and_the_order_turns() -> None:
    order: list[str] = []

    def contender(name: str) -> Contender:
        return Contender(name, lambda: order.append(name) or True, bool, after=lambda: order.append("|"))

    timings = race([contender("a"), contender("b")], rounds=2, seconds=0)
    assert [name for name in order if name != "|"] == ["a", "b", "a", "b", "a", "b", "b", "a"]
    assert all(timing.cpu >= 0 and timing.wall > 0 for timing in timings)


def test_the_work_of_a_slower_contender_shows() -> None:
    quick, slow = race(
        [Contender("quick", lambda: sum(range(10)), bool), Contender("slow", lambda: sum(range(10_000)), bool)],
        rounds=3,
    )
    assert slow.cpu > 10 * quick.cpu


def test_a_fresh_process_that_fails_is_not_measured() -> None:
    with pytest.raises(AssertionError, match="exited 3"):
        fresh(["sh", "-c", "exit 3"])


def test_a_missed_target_says_so() -> None:
    assert report.verdict(report.ahead("reads", 2.0, "peer", 3.0, times=2)) == "**missed**"
    assert report.verdict(report.ahead("reads", 1.0, "peer", 3.0, times=2)) == "met"
    assert report.verdict(report.within("reads", 3.0, "floor", 1.0, times=2)) == "**missed**"
    assert report.verdict(report.bound("memory", 5.0, 4.0)) == "**missed**"
    assert report.verdict(report.bound("memory", 5.0, None)) == ""


def test_figures_are_readable() -> None:
    assert [report.seconds(value) for value in (2.0, 0.00123, 4.5e-6, 8e-8)] == ["2 s", "1.23 ms", "4.5 µs", "80 ns"]
    assert [report.size(value) for value in (10, 2048, 3 << 20)] == ["10 B", "2 KiB", "3 MiB"]


def test_writing_the_figures_keeps_the_text_around_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_into(page, "new")
    assert page.read_text() == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"


def test_the_page_has_a_place_for_the_figures_and_names_every_part() -> None:
    text = PAGE.read_text()
    assert text.index(report.BEGIN) < text.index(report.END)
    assert all(f"`{part}`" in text for part in PARTS)


def test_an_unknown_part_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["speed"]) == 2
    assert capsys.readouterr().err == f"no such part: speed; there are {', '.join(PARTS)}\n"
