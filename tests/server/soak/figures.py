"""The table of a soak, and the page that keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.server.soak.measuring import MIB, Course, Line, Measuring, line

MOST_MIB_AN_HOUR = 1.0
MOST_FILES_AN_HOUR = 1.0
PAGE = Path(__file__).resolve().parents[3] / "docs" / "soak.md"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


class Verdict(NamedTuple):
    """What is said of one process."""

    course: Course
    rss: Line | None
    anonymous: Line | None
    files: Line | None
    sockets: tuple[int, int]

    @property
    def is_missed(self) -> bool:
        grows = self.rss is not None and self.rss.an_hour >= MOST_MIB_AN_HOUR
        opens = self.files is not None and self.files.an_hour >= MOST_FILES_AN_HOUR
        return grows or opens

    def row(self) -> str:
        samples = self.course.samples
        lived = f"{samples[0].at:.0f} to {samples[-1].at:.0f} s"
        most = max(sample.rss_kib for sample in samples) / MIB
        if self.rss is None or self.anonymous is None or self.files is None:
            return f"| {self.course.name} | {lived} | {most:.1f} | | | | | too short for a line |"
        measured = f"{self.rss.points} rests"
        memory = f"{self.rss.first:.2f} to {self.rss.last:.2f}"
        slope = f"{self.rss.an_hour:+.2f} ({self.anonymous.an_hour:+.2f} anonymous)"
        files = f"{self.files.first:.0f} to {self.files.last:.0f} ({self.sockets[0]} to {self.sockets[1]} sockets)"
        return (
            f"| {self.course.name} | {lived} | {most:.1f} | {measured} | {memory} | {slope} | {files} | {self.word} |"
        )

    @property
    def word(self) -> str:
        return "**missed**" if self.is_missed else "met"


def rests(course: Course) -> str:
    """MiB at the rests of a process from its first one on, each fifth minute, for who would draw another line."""
    shown: list[str] = []
    minute = 0.0
    for sample in course.rests:
        if sample.at >= minute:
            shown.append(f"{sample.rss_kib / MIB:.1f}")
            minute = sample.at + 300 - 1
    return f"- {course.name}, from {course.rests[0].at / 60:.0f} min: {', '.join(shown)}"


def verdicts(measuring: Measuring, warm_up: float) -> list[Verdict]:
    """A verdict on each process that lived for more than a moment."""
    found = []
    for course in sorted(measuring.courses.values(), key=lambda each: each.samples[0].at):
        settled = course.settled(warm_up)
        found.append(
            Verdict(
                course,
                line([(sample.at, sample.rss_kib / MIB) for sample in settled]),
                line([(sample.at, sample.anonymous_kib / MIB) for sample in settled]),
                line([(sample.at, sample.files) for sample in settled]),
                (min(each.sockets for each in course.samples), max(each.sockets for each in course.samples)),
            )
        )
    return found


def told(seconds: float, seed: int, figures: dict[str, str], lines: list[Verdict], differences: list[str]) -> str:
    """All of it as Markdown."""
    fitted = [each for each in lines if each.rss is not None]
    rows = [each.row() for each in lines]
    text = [
        f"{seconds / 60:g} minutes, seed {seed}; {len(differences)} differences from the model; "
        f"{len(fitted)} processes lived long enough for a line, and {sum(each.is_missed for each in fitted)} missed.",
        "",
        "| process | lived | most MiB | after warm-up | MiB at rest | MiB an hour | files (sockets) | target |",
        "|---|---|--:|---|---|---|---|---|",
        *rows,
        "",
        "MiB at rest, about every five minutes, the warm-up of each process included:",
        "",
        *(rests(each.course) for each in fitted),
        "",
        "| what | |",
        "|---|--:|",
        *(f"| {name} | {value} |" for name, value in figures.items()),
    ]
    return "\n".join([*text, *(["", *(f"- {each}" for each in differences)] if differences else [])])


def write_page(text: str) -> None:
    """Put the figures into docs/soak.md."""
    page = PAGE.read_text("utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", "utf-8")
