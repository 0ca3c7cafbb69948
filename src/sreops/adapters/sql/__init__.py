"""What every SQL database of sreops shares."""
