"""The figures of the fault tests are those that were handed in, and nothing is printed without any."""

from pathlib import Path

from fault_report import FaultReport, markdown, summarise


class Terminal:
    """Keeps what a test session prints."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines.append(title)

    def line(self, text: str) -> None:
        self.lines.append(text)


def test_without_figures_nothing_is_printed_or_written(tmp_path: Path):
    terminal = Terminal()
    summarise(terminal, FaultReport(7), tmp_path / "figures.md")
    assert terminal.lines == []
    assert list(tmp_path.iterdir()) == []


def test_figures_are_summed_by_fault_and_back_end_and_both_kinds_get_a_table(tmp_path: Path):
    report, terminal = FaultReport(7), Terminal()
    for seen, terminals, free in ((1000, 1, 0.5), (500, 2, 1.5), (0, 1, 0.7)):
        fault = report.fault("killed", "sqlite")
        fault.times += 1
        fault.seen += seen
        fault.lost += terminals == 2
        fault.terminals.append(terminals)
        fault.free.append(free)
    report.delay("a stop", "redis", [0.001, 0.003, 0.002])
    summarise(terminal, report, tmp_path / "figures.md")
    faults, delays = report.tables()
    assert faults[1] == ("killed", "sqlite", "3", "3", "1,500", "1", "1 or 2", "0.700", "1.500")
    assert delays[1] == ("a stop", "redis", "3", "0.002", "0.003")
    assert "--fault-seed 7" in terminal.lines[0]
    assert [line.split()[:3] for line in terminal.lines[2:3]] == [["killed", "sqlite", "3"]]
    assert (tmp_path / "figures.md").read_text() == f"{markdown(faults)}\n\n{markdown(delays)}\n"
