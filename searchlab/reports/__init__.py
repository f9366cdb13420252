"""What is shown: statistics with their uncertainty, tables, plain words, and one HTML file."""
