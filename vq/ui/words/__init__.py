"""The words of the page, one file a tab."""
