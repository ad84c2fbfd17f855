"""What a person looks at: figures, tables, verdicts, notebooks' parameters, explorers. Nothing here trains."""
