"""What becomes of a run: trained, checkpointed, recorded, stored, found again, swept over many processes.

Must not know views: no figure, table or notebook.
"""
