"""`hallkeeper shed`: reads what a running console holds and lets the planner say what would be taken; sends nothing."""
