"""How a page looks as bytes: one module for each format."""
