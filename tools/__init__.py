"""Programs for those who work on Hallkeeper; none of them is part of the product."""
