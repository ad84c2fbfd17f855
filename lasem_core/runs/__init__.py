"""What becomes of a run: trained, recorded, found again, repeated by the thousand."""
