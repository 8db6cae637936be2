"""What a person reads after a run: the HTML page and the terminal tables.

Imported by module, so that a table in the terminal does not load the plots.
"""
