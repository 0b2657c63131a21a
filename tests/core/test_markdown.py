"""A table of Markdown: one line a row, whatever the cells hold."""

from evermix.core.markdown import table_lines


def test_a_table_is_its_head_a_rule_its_rows_and_an_empty_line():
    assert table_lines(["a", "b"], [["x", 1], ["", 2.5]]) == [
        "| a | b |",
        "| --- | --- |",
        "| x | 1 |",
        "|  | 2.5 |",
        "",
    ]


def test_a_cell_of_several_lines_or_with_a_bar_stays_one_cell():
    assert table_lines(["a"], [["one\n two | three"]])[2] == "| one two \\| three |"
