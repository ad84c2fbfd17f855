"""What a person looks at: figures, tables, verdicts, notebooks' parameters, explorers.

Must not know training: a view is drawn from records. Only `widgets` knows widgets.
"""
