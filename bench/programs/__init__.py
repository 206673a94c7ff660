"""What the bench starts as processes of their own: origins, and the one baseline that is a program of ours."""
