"""What a person reads after a run: the HTML page, the terminal tables.

Imported by module, so that a table in the terminal does not load the plots:
``page`` (`write_report`, `ReportContent`, `Embedding`), ``embedding`` (`embed`) and ``tables`` (`print_results`, `results_table`, `side_by_side`).
"""
