"""The operators: count, pages and publish, and all three in one task."""
