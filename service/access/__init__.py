"""Who may do what: principals, their roles, and which studies they see."""
