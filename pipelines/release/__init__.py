"""How a version becomes champion, by the gate or by hand."""
