"""What is measured, and how; README.md says which script prints which figure."""
